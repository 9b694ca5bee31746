import Testing

extension RunningSubject {
    /// Dumps it several times while it runs on, then once so that it ends, and lets it check itself after each.
    ///
    /// - Parameter options: of the dumps.
    func survivesDumps(_ options: [String]) throws {
        for round in 1...3 {
            let dump = try world.dump(pid, to: "images", options + ["--leave-running"])
            #expect(dump.status == 0, "round \(round): \(dump)")
            #expect(check() == [], "round \(round)")
        }
        try world.requireDump(pid, to: "images", options)
        #expect(eventually { world.processes.isEmpty })
    }
}
