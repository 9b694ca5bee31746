import Diagnostics
import Linux
import Testing

@testable import Compatibility

@Suite struct FeatureReportTests {
    private func report(
        missing: Set<String> = [], unknown: Set<String> = [], requiresAll: Bool = false
    ) -> FeatureReport {
        let findings = [("needed", true), ("useful", false), ("other", false)].map { name, isRequired in
            FeatureReport.Finding(
                name: name, summary: "for \(name)", isRequired: isRequired,
                availability: missing.contains(name)
                    ? .missing(reason: "because", cost: "no \(name)")
                    : unknown.contains(name) ? .cannotTell(reason: "not permitted") : .present)
        }
        return FeatureReport(kernel: "6.1", findings: findings, requiresAll: requiresAll)
    }

    @Test func everythingThereLooksGood() {
        #expect(report().succeeds)
        #expect(report().text(TextStyle()).hasSuffix("\nLooks good.\n"))
        #expect(report().problems == [])
    }

    @Test func whatIsMissingIsNamedWithItsCost() {
        let found = report(missing: ["useful"], unknown: ["other"])
        #expect(found.succeeds)
        let text = found.text(TextStyle())
        #expect(text.contains("missing  useful"))
        #expect(text.contains("what that costs: no useful"))
        #expect(text.contains("unknown  other"))
        #expect(text.contains("\nLooks good, but"))
        #expect(found.problems.map(\.code) == [.featureMissing, .featureUnknown])
    }

    @Test func whatIsRequiredFails() {
        #expect(!report(missing: ["needed"]).succeeds)
        #expect(!report(unknown: ["needed"]).succeeds)
        #expect(!report(missing: ["useful"], requiresAll: true).succeeds)
        #expect(!report(missing: ["needed"]).text(TextStyle()).contains("Looks good"))
    }

    @Test func programsGetEveryFeature() {
        let json = report(missing: ["needed"]).json.text(indented: false)
        #expect(json.hasPrefix(#"{"ok":false,"verb":"check","kernel":"6.1""#))
        #expect(json.contains(#"{"name":"needed","summary":"for needed","required":true,"state":"missing""#))
    }

    @Test func featuresAreFoundByName() throws {
        let names = try FeatureReport.features(named: ["memfd,close-range", "userns"]).map(\.name)
        #expect(names == ["memfd", "close_range", "userns"])
        #expect(throws: Problems.self) { try FeatureReport.features(named: ["memfd,,x"]) }
        do throws(Problems) {
            _ = try FeatureReport.features(named: ["usern", "nonsense"])
            Issue.record("unknown features were accepted")
        } catch {
            #expect(error.all.map(\.code) == [.unknownFeature, .unknownFeature])
            #expect(error.all.first?.remedy.contains("userns") == true)
        }
    }
}
