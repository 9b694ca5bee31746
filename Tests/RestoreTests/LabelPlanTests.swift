import Diagnostics
import Images
import Linux
import Objects
import Testing
import Tracing

@testable import Restore

/// What becomes of the labels of security modules, host by host.
@Suite struct LabelPlanTests {
    /// A plan for a process that ran under a profile of AppArmor.
    private func plan(
        _ label: String = "job", dumpedWith type: Lsmtype = .apparmor, here module: SecurityModule?,
        own: String? = nil, loaded: Set<String>? = ["job"], override: String? = nil
    ) throws -> RestorePlan {
        try FixturePlans.plan("count", securityProfile: override.flatMap { SecurityProfile($0) }) { images, host in
            images.inventory.lsmtype = type
            for task in images.tasks.indices {
                for thread in images.tasks[task].threads.indices where !label.isEmpty {
                    images.tasks[task].threads[thread].core.threadCore.creds.lsmProfile = label
                }
            }
            host.securityModule = module
            host.securityLabel = own
            host.securityProfiles = loaded
        }
    }

    private func written(_ plan: RestorePlan) -> [String] {
        plan.tasks.flatMap { task in
            [task.rebuild, task.finish].flatMap { placed in
                placed.batch.calls.filter { $0.purpose.hasPrefix("have it run under") && $0.number == 1 }.map { call in
                    guard case .address(let buffer) = call.arguments[1] else { return "" }
                    return String(
                        decoding: placed.batch.memory[buffer.offset..<buffer.offset + buffer.count], as: UTF8.self)
                }
            }
        }
    }

    @Test func aProfileThatIsLoaded() throws {
        let plan = try plan(here: .appArmor)
        #expect(Set(written(plan)) == ["changeprofile job"])
        #expect(plan.notes == [])
        // Behind the change of user and the loss of capabilities, which the profile may forbid.
        let calls = plan.tasks[0].finish.batch.calls
        let label = try #require(calls.firstIndex { $0.purpose.hasPrefix("have it run under") })
        let rights = try #require(calls.lastIndex { $0.purpose == "set its capabilities" })
        #expect(label > rights)
    }

    @Test func aProfileThatIsNotLoaded() throws {
        let problem = try #require(throws: Problems.self) { try plan(here: .appArmor, loaded: ["other"]) }
        let text = problem.all.map(\.description).joined()
        #expect(text.contains("job") && text.contains("--lsm-profile"), "\(text)")
        // Those that cannot be seen may be there.
        #expect(try Set(written(plan(here: .appArmor, loaded: nil))) == ["changeprofile job"])
        #expect(throws: Problems.self) { try plan("job//&other", here: .appArmor) }
        #expect(try Set(written(plan("job//&:space:other", here: .appArmor))) == ["changeprofile job//&:space:other"])
    }

    @Test func anotherOneByOrder() throws {
        let changed = try plan(here: .appArmor, loaded: ["mine"], override: "apparmor:mine")
        #expect(Set(written(changed)) == ["changeprofile mine"])
        #expect(try written(plan(here: .appArmor, loaded: [], override: "apparmor:unconfined")) == [])
        #expect(throws: Problems.self) { try plan(here: .appArmor, override: "selinux:x") }
        #expect(throws: Problems.self) { try plan(here: nil, override: "apparmor:job") }
    }

    /// A host without the module runs the program without the restriction, and says so.
    @Test func aHostWithoutTheModule() throws {
        for module in [nil, SecurityModule.seLinux] {
            let plan = try plan(here: module, own: module == nil ? nil : "system_u:system_r:init_t:s0")
            #expect(written(plan) == [])
            #expect(plan.notes.contains { $0.contains("AppArmor as job") }, "\(plan.notes)")
        }
    }

    @Test func theLabelOfSELinux() throws {
        let plan = try plan("u:r:t:s0", dumpedWith: .selinux, here: .seLinux, own: "u:r:apus:s0", loaded: nil)
        #expect(Set(written(plan)) == ["u:r:t:s0"])
        #expect(try written(self.plan("u:r:t:s0", dumpedWith: .selinux, here: .seLinux, own: "u:r:t:s0")) == [])
    }

    /// What was unconfined is confined as Apus is: nothing can be done about it but to say so.
    @Test func anApusThatIsConfined() throws {
        let plan = try plan("", here: .appArmor, own: "apus")
        #expect(written(plan) == [])
        #expect(plan.notes.contains { $0.contains("AppArmor profile of Apus, apus") }, "\(plan.notes)")
    }

    @Test func whatTheOptionTakes() {
        #expect(SecurityProfile("apparmor:a:b")?.label == "a:b")
        #expect(SecurityProfile("selinux:u:r:t")?.module == .seLinux)
        for wrong in ["", "apparmor", "apparmor:", "smack:x", ":x"] { #expect(SecurityProfile(wrong) == nil) }
    }
}
