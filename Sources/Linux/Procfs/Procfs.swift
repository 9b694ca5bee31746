public import SystemPackage

/// The proc file system as a whole.
public struct Procfs: Sendable, Equatable {
    /// Where it is mounted, or a recorded copy lies.
    public let root: FilePath

    public init(root: FilePath = "/proc") {
        self.root = root
    }

    /// The one of this host.
    public static let live = Procfs()

    public func process(_ pid: Int32) -> ProcessDirectory { ProcessDirectory(pid, root: root) }

    public func thread(_ thread: Int32, of pid: Int32) -> ProcessDirectory {
        ProcessDirectory(pid, thread: thread, root: root)
    }

    /// All processes that the reader sees, in rising order.
    public func processes() throws(ProcfsError) -> [Int32] {
        try ProcessDirectory(path: root).numbers(in: root)
    }

    /// The children of a process, in rising order.
    ///
    /// Where the kernel does not list them, the parents of all processes are read: dearer, and a child made meanwhile
    /// may be missed, so a caller that must not miss one stops the parent and looks again.
    public func children(of pid: Int32) throws(ProcfsError) -> [Int32] {
        var children: [Int32] = []
        for thread in try process(pid).threads() {
            do throws(ProcfsError) {
                guard let some = try self.thread(thread, of: pid).children() else {
                    return try childrenOfAll()[pid] ?? []
                }
                children += some
            } catch {
                // A thread that ended meanwhile has handed its children to another.
                if !error.isGone { throw error }
            }
        }
        return children.sorted()
    }

    /// A process and its descendants, each behind its parent, as far as they can be read. A tree that runs may change meanwhile.
    public func tree(of root: Int32) -> [Int32] {
        var found: [Int32] = []
        var (known, pending): (Set<Int32>, [Int32]) = ([], [root])
        while let pid = pending.popLast() {
            guard known.insert(pid).inserted else { continue }
            found.append(pid)
            pending += (try? children(of: pid)) ?? []
        }
        return found
    }

    /// The children of every process, by their parents.
    public func childrenOfAll() throws(ProcfsError) -> [Int32: [Int32]] {
        var children: [Int32: [Int32]] = [:]
        for pid in try processes() {
            do throws(ProcfsError) {
                children[try process(pid).stat().parent, default: []].append(pid)
            } catch {
                if !error.isGone { throw error }
            }
        }
        return children
    }

    /// A kernel setting that is one number: `sys/kernel/pid_max`.
    public func number(_ name: FilePath) throws(ProcfsError) -> Int64 {
        let file = root.appending(name.components)
        var cursor = TextCursor(try ProcessDirectory(path: root).contents(file), file: file)
        return try cursor.number("a number")
    }
}
