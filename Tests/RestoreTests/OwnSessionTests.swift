import Images
import Testing

@testable import Restore

/// A job of a terminal begins a session of its own where its shell has stayed behind.
@Suite("A session of the root's own")
struct OwnSessionTests {
    @Test func takesThePlaceOfOneOutside() throws {
        var plan: RestorePlan?
        plan = try FixturePlans.plan("count-pty", shellJob: true) { images, _ in
            let root = images.tasks[0]
            #expect(root.session != root.pid, "the fixture is the job of a shell")
            let outside = root.session
            images.beginSessionOfRoot()
            #expect(images.tasks[0].session == root.pid && images.tasks[0].processGroup == root.pid)
            #expect(!images.tasks.contains { $0.session == outside })
            // Once more changes nothing.
            let before = images.tasks.map { [$0.session, $0.processGroup] }
            images.beginSessionOfRoot()
            #expect(images.tasks.map { [$0.session, $0.processGroup] } == before)
        }
        #expect(plan?.description.contains("begin session") == true)
    }
}
