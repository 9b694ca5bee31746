public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A descriptor to read a set of signals from. Whose signals they are depends on who reads, not on who has made it.
public struct SignalReader: Resource {
    let entry: SignalfdEntry

    public init(_ entry: SignalfdEntry) { self.entry = entry }

    public var extraDescriptors: Int { 0 }
    public var description: String { "signalfd for the signals 0x\(String(entry.sigmask, radix: 16))" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let descriptor = try Files.signals(entry.sigmask)
            try setFlags(entry.flags, of: descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "a signalfd cannot be made", cause: .init(error, attempted: "signalfd4"),
                remedy: "See that there is enough memory")
        }
    }
}
