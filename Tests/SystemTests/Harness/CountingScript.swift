import Testing

/// The script of the founding scenario: it counts, and what it prints shows whether a number was lost or said twice.
struct CountingScript {
    let path: String
    /// What it prints goes there.
    let output: String

    /// - Parameter pause: seconds between two numbers; nil for none at all, so that it is always between fork and exec.
    init(in world: World, name: String = "count", pause: Double? = 0.05) throws {
        path = world.path("\(name).sh")
        output = "\(name).out"
        let sleep = pause.map { "; sleep \($0)" } ?? ""
        try write("#!/bin/bash\ni=0; while true; do echo $i; i=$(expr $i + 1)\(sleep); done\n", to: path)
    }

    /// The numbers so far.
    func numbers(in world: World) -> [String] { lines(world.path(output)) }

    /// Whether `count` more numbers come.
    func goesOn(in world: World, by count: Int = 3) -> Bool {
        let before = numbers(in: world).count
        return eventually(seconds: 20) { numbers(in: world).count >= before + count }
    }

    /// What is wrong in what was printed: the numbers from 0 on, each once.
    func mistakes(in world: World, allowing noise: (String) -> Bool = { _ in false }) -> [String] {
        numbers(in: world).filter { !noise($0) }.enumerated().filter { $1 != "\($0)" }.map { "\($1) at place \($0)" }
    }
}
