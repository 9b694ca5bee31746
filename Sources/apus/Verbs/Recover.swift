internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import Migration
internal import Objects
internal import Restore
internal import SystemPackage

/// `apus recover`: what dumps have left behind in the kernel, and migrations that ended in doubt.
struct Recover: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Settle migrations that ended in doubt; list and remove locks of the network.",
        discussion: """
            Of each migration whose connection broke in the last moment the other host is asked what became of the tree:
            the original, which stands still, is ended if the tree runs there, and runs on if not.

            A dump that ends a tree with TCP connections leaves a lock, a table of nftables, which keeps the network from
            these connections until a restore. Without an option the locks of this network namespace are listed.
            Remove one only if its tree will not be restored here: its connections are broken off then.
              apus recover
              apus recover --go-back UUID
              apus recover -D DIR
              apus recover --all
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var state: StateOptions

    @Flag(help: "Remove all locks, but for those that a dump or a restore is at.")
    var all = false

    @Option(
        help: .init(
            "Continue the original of this migration, whose memory has not all come to the other host; what runs there is ended.",
            valueName: "uuid"))
    var goBack: String?
}

extension Recover: Action {
    static func perform(in session: Session) throws -> Int32 {
        var reader = OptionReader(session.invocation)
        let images = reader.path("images-dir")
        let state = reader.path("state-dir") ?? RestoreOptions.usualState
        let back = reader.values("go-back").last.map(RawArgument.text)
        try reader.finish()
        let settled = try Recovery.settle(in: state, goingBack: back, logger: session.logger)
        let locks = try KeptLock.all()
        var removed: [KeptLock] = []
        if let images {
            // A lock that is at work refuses: it was asked for by name.
            let name = try lock(of: images, among: locks)
            for lock in locks where lock.name == name { removed.append(lock) }
        } else if reader.flag("all") {
            removed = locks.filter { !$0.isInUse }
        }
        for lock in removed {
            try lock.remove()
            session.logger.info("the lock \(lock.name) (\(lock.about)) is removed")
        }
        if reader.flag("json") {
            let list = locks.map { lock -> JSON in
                [
                    "name": .string(lock.name), "about": .string(lock.about),
                    "images": lock.images.map { .string($0) } ?? .null, "inUse": .bool(lock.isInUse),
                    "removed": .bool(removed.contains(lock)),
                ]
            }
            let result: JSON = [
                "ok": true, "verb": "recover", "locks": .array(list), "migrations": .array(settled.map(\.json)),
            ]
            Console.write(result.text() + "\n")
        } else {
            let none = images == nil && settled.isEmpty ? "No migration is in doubt.\n" : ""
            Console.write(none + settled.map(\.text).joined() + text(locks, removed, images: images?.string))
        }
        return settled.contains { $0.state == .unsettled || $0.state == .incomplete || $0.state == .gone } ? 1 : 0
    }

    /// - Parameter images: their directory, or a bundle.
    private static func lock(of images: FilePath, among locks: [KeptLock]) throws -> String? {
        let found = try? Files.status(of: images)
        if let found, found.kind != .regular { return try ImageDirectory(opening: images).keptLock() }
        // A bundle, by whatever name, or what is gone.
        let whole = Files.absolute(images).lexicallyNormalized()
        let lock = locks.first { lock in
            guard let place = lock.images.map({ FilePath($0) }) else { return false }
            if place.lexicallyNormalized() == whole { return true }
            guard let found, let other = try? Files.status(of: place) else { return false }
            return (other.device, other.inode) == (found.device, found.inode)
        }
        if lock == nil && found == nil { return try ImageDirectory(opening: images).keptLock() }
        return lock?.name
    }

    private static func text(_ locks: [KeptLock], _ removed: [KeptLock], images: String?) -> String {
        if let images, removed.isEmpty {
            return "The dump in \(images.printable) has left no lock in this network namespace.\n"
        }
        if locks.isEmpty { return "No dump has left a lock in this network namespace.\n" }
        let shown = images == nil ? locks : removed
        var lines = shown.map { lock in
            let state = removed.contains(lock) ? "removed: " : lock.isInUse ? "in use: " : ""
            let place = lock.images.map { ", images in \($0.printable)" + (lock.isAbandoned ? " (gone)" : "") } ?? ""
            return "\(state)\(lock.name): \(lock.about)\(place)"
        }
        if removed.isEmpty {
            lines.insert("Locks of the network that dumps have left here:", at: 0)
            lines.append("Remove those whose trees will not be restored here: apus recover -D DIR, or --all.")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Recovery.Outcome {
    fileprivate var json: JSON {
        var members: [JSON.Member] = [
            .init("uuid", .string(uuid)), .init("pid", .integer(Int64(pid))), .init("host", .string(host)),
            .init("state", .string(state.rawValue)),
        ]
        if let problem { members.append(.init("problem", problem.json)) }
        return .object(members)
    }

    fileprivate var text: String {
        switch state {
        case .arrived: "Process \(pid) runs on \(host.printable): the original was ended.\n"
        case .returned: "Process \(pid) does not run on \(host.printable): the original runs on.\n"
        case .gone:
            "Process \(pid) is gone: it does not run on \(host.printable), and nothing is left of the original, which has ended or was on this"
                + " host before its last start.\n"
        case .incomplete:
            "Process \(pid) stands still: "
                + (problem?.description ?? "its memory has not all come to \(host.printable)")
                + "\n"
        case .inUse: "Process \(pid) is just moving to \(host.printable).\n"
        case .unsettled:
            "Process \(pid) stands still: whether it runs on \(host.printable) is not known"
                + (problem.map { " (\($0.description))" } ?? "") + "\n"
        }
    }
}
