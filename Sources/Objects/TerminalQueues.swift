internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// What is queued in a pseudo-terminal of the tree, and whether its slave has been open.
///
/// `tty-data.img` has the bytes by the id of the side that reads them. The supplement has by the id of the master what
/// there is no field for: `lines`, the ends of the lines among what was typed; `stopped`, that output is held back;
/// `closed`, that the slave was open and is not any more; `input`, what was typed where nobody has the slave open.
struct TerminalQueues: Sendable, Equatable {
    var queues = Terminal.Queues()
    var isClosed = false

    /// Records the queues of a pair, by its master.
    static func capture(
        _ seen: SeenDescriptor, _ master: Int32, _ id: UInt32, _ pair: TerminalPair, into descriptions: Descriptions
    ) throws(Problem) {
        var found = TerminalQueues()
        do throws(Errno) {
            var entries = [Files.PollEntry(master, [])]
            _ = try Files.poll(&entries, timeout: 0)
            found.isClosed = entries[0].returned.contains(.hangUp)
            let slaveIsOpen = descriptions.circumstances.terminals.hasSlaves(pair.key)
            guard found.isClosed || slaveIsOpen else {
                // It would not be the same once somebody had opened it.
                descriptions.note(
                    loss: "terminal \(pair.path): nobody has opened it yet; what has been typed into it is not carried")
                return
            }
            // Apus may be killed meanwhile, and nothing is lost.
            Steps.take()
            found.queues = try Terminal.copyQueues(master) { Steps.take() }
        } catch {
            throw descriptions.unreadable(seen, error, "read and write of what is queued in the terminal")
        }
        descriptions.terminalQueues.append((id, pair.key.index, found))
    }

    /// Distributes what was found to where the images have it, when all terminals are known.
    static func store(_ descriptions: Descriptions) -> [TtyDataEntry] {
        var entries: [TtyDataEntry] = []
        separateControlling(descriptions)
        for (master, index, found) in descriptions.terminalQueues {
            let slave = descriptions.terminals.first {
                $0.type == .pty && $0.id != master && $0.pty.index == index && $0.hasTermios
            }
            for (id, bytes) in [(master, found.queues.output), (slave?.id, found.queues.input)] {
                guard let id, !bytes.isEmpty else { continue }
                var entry = TtyDataEntry()
                entry.ttyID = id
                entry.bytes = bytes
                entries.append(entry)
            }
            descriptions.supplement[.terminal, master] = found.json(withInput: slave == nil)
        }
        return entries
    }

    /// `/dev/tty` stands for the terminal of its session, and names none of its own: CRIU takes an image in which it does
    /// for a corrupted one. Where the tree has that terminal by no other name, its number is kept nevertheless.
    private static func separateControlling(_ descriptions: Descriptions) {
        let slaves = descriptions.terminals.filter { $0.type == .pty && $0.sid != 0 && $0.hasTermios }
        for index in descriptions.terminals.indices where descriptions.terminals[index].type == .ctty {
            let one = descriptions.terminals[index]
            let meant = slaves.filter { $0.sid == one.sid }
            if meant.count == 1, meant[0].pty.index == one.pty.index { descriptions.terminals[index].clearPty() }
        }
    }

    private func json(withInput: Bool) -> JSON? {
        var members: [JSON.Member] = []
        if isClosed { members.append(.init("closed", true)) }
        if queues.isStopped { members.append(.init("stopped", true)) }
        if !queues.lineEnds.isEmpty {
            members.append(.init("lines", .array(queues.lineEnds.map { .integer(Int64($0)) })))
        }
        if withInput && !queues.input.isEmpty {
            members.append(.init("input", .string(Hexadecimal.text(queues.input))))
        }
        return members.isEmpty ? nil : .object(members)
    }

    init() {}

    /// Reads what images say of a pair.
    ///
    /// - Parameter slave: the id of its slave, where there is one.
    /// - Throws: `object-unsupported` for what no terminal could have held.
    init(of master: UInt32, slave: TtyInfoEntry?, in images: CheckpointImages) throws(Problem) {
        let json = images.supplement[.terminal, master]
        isClosed = json?["closed"] == .bool(true)
        queues.isStopped = json?["stopped"] == .bool(true)
        queues.output = images.terminalData[master] ?? []
        queues.input = slave.flatMap { images.terminalData[$0.id] } ?? []
        if case .string(let text)? = json?["input"] { queues.input += Hexadecimal.bytes(text) ?? [] }
        if case .array(let ends)? = json?["lines"] {
            queues.lineEnds = ends.map { $0.bits.flatMap { Int(exactly: $0) } ?? -1 }
        } else if let slave, slave.termios.cLflag & 2 != 0 {  // ICANON
            // Of images by CRIU: a line ends at its newline.
            queues.lineEnds = queues.input.indices.filter { queues.input[$0] == 10 }.map { $0 + 1 }
        }
        guard queues.isValid else {
            throw Problem(
                .objectUnsupported, "what the images say of the queues of terminal \(master) makes no sense",
                remedy: "Copy the images again, all of them")
        }
    }
}
