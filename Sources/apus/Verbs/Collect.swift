internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Objects
internal import Restore
internal import SystemPackage

/// `apus gc`: the removal of copies that no restored process uses any more.
struct Collect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc", abstract: "Remove copies of files that no restored process uses any more.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var state: StateOptions
}

extension Collect: Action {
    static func perform(in session: Session) throws -> Int32 {
        var reader = OptionReader(session.invocation)
        let place = reader.path("state-dir") ?? RestoreOptions.usualState
        try reader.finish()
        let collection = try CopyCollection(in: place)
        let size = collection.removed.reduce(0) { $0 + $1.size }
        if reader.flag("json") {
            func list(_ items: [CopyCollection.Item]) -> JSON {
                .array(items.map { ["path": .string($0.path.string), "size": .unsigned($0.size)] })
            }
            let result: JSON = [
                "ok": true, "verb": "gc", "removed": list(collection.removed), "kept": list(collection.kept),
            ]
            Console.write(result.text() + "\n")
        } else {
            for item in collection.removed { Console.write("removed \(item.path)\n") }
            Console.write(
                "\(collection.removed.count) copies removed (\(size) bytes), \(collection.kept.count) in use\n")
        }
        session.logger.info("\(collection.removed.count) copies removed, \(collection.kept.count) in use")
        return 0
    }
}
