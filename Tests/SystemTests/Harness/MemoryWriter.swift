import Testing

/// A program that writes all over its memory all the time (Tests/Programs/memory_writer.py), and says whether it is as it should be.
struct MemoryWriter {
    let pid: Int32
    private let fifo: String
    private let output: String

    /// Starts it, and waits until it is ready.
    ///
    /// - Parameters:
    ///   - mebibytes: of memory.
    ///   - prefix: the program that starts it, with its arguments.
    init(_ mebibytes: Int, in world: World, by prefix: [String] = []) throws {
        (fifo, output) = (world.path("status"), world.path("out"))
        try world.succeed("mkfifo", fifo)
        pid = try world.start(
            prefix + ["python3", Programs.path("memory_writer.py"), "\(mebibytes)", fifo], output: "out")
        let path = output
        #expect(eventually { lines(path).contains("ready") })
    }

    /// Has it look at its memory, so many times since it has begun.
    func expectWhole(times: Int = 2) throws {
        for count in 1...times {
            try write("?\n", to: fifo)
            #expect(eventually { lines(output).count > count })
            #expect(lines(output).last?.hasPrefix("OK") == true, "\(lines(output))")
        }
    }
}
