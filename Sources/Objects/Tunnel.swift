public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// The program's side of a tunnel device (`/dev/net/tun`): it is attached to one by its name, or to none yet.
///
/// A device that stays without it (persistent) is attached to again. One that does not ends with the original: it is made anew,
/// with its addresses and routes (`TunnelImage`).
public enum Tunnel: DescriptionKind {
    public static let name = "tunnel"

    /// By the kernel's list of devices.
    private static let device = DeviceNumber(major: 10, minor: 200)

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        seen.hasPath && seen.status.kind == .characterDevice && !seen.info.flags.contains(.path)
            && seen.status.representedDevice == device
    }

    public static func externalKey(of seen: SeenDescriptor) -> String? { RegularFile.externalKey(of: seen) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if RegularFile.externalName(seen, circumstances) != nil { return nil }
        do throws(Errno) {
            let process = try Processes.open(thread: seen.pid)
            let own = try Processes.descriptor(seen.number, of: process.raw)
            guard let found = try attachment(own.raw) else { return RegularFile.obstacle(to: seen, circumstances) }
            var problem = obstacle(to: seen, String(decoding: found.name, as: UTF8.self), found.flags)
            if let key = externalKey(of: seen) { problem?.remedy += ". " + LeftOutside.remedy(dump: key) }
            return problem ?? RegularFile.obstacle(to: seen, circumstances)
        } catch {
            return Problem(
                .objectUnreadable, "it cannot be told which device a tunnel is attached to", object: seen.object,
                cause: .init(error, attempted: "pidfd_getfd, ioctl(TUNGETIFF)"), remedy: "Run Apus as root")
        }
    }

    private static func obstacle(to seen: SeenDescriptor, _ name: String, _ flags: TunnelDevice.Flags) -> Problem? {
        if flags.contains(.detached) {
            return Problem(
                .unsupported,
                "a queue of the tunnel device \(name) that takes no part (IFF_DETACH_QUEUE) cannot be carried",
                object: seen.object, remedy: "Close it before the dump")
        }
        return nil
    }

    /// nil for a descriptor that is attached to no device.
    private static func attachment(_ descriptor: Int32) throws(Errno) -> (name: [UInt8], flags: TunnelDevice.Flags)? {
        do throws(Errno) { return try TunnelDevice.device(of: descriptor) } catch {
            let badState: Int32 = 77  // EBADFD
            if error.rawValue == badState { return nil }
            throw error
        }
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        if RegularFile.externalName(seen, descriptions.circumstances) != nil {
            return try RegularFile.capture(seen, into: descriptions)
        }
        let own = try descriptions.open(seen)
        let found: (name: [UInt8], flags: TunnelDevice.Flags)?
        var sizes: (room: Int32, header: Int32) = (0, 0)
        do throws(Errno) {
            found = try attachment(own.raw)
            if found != nil { sizes = try TunnelDevice.sizes(of: own.raw) }
        } catch {
            throw descriptions.unreadable(seen, error, "ioctl(TUNGETIFF, TUNGETSNDBUF, TUNGETVNETHDRSZ)")
        }
        guard let found else { return try RegularFile.capture(seen, into: descriptions) }
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        file.fown = try descriptions.owner(of: seen, through: own.raw)
        RegularFile.add(file, to: descriptions)
        var poll = [Files.PollEntry(own.raw, .readable)]
        if let ready = try? Files.poll(&poll, timeout: 0), ready > 0 {
            descriptions.note(
                loss: "process \(seen.pid), descriptor \(seen.number): packets that wait in the tunnel are not carried")
        }
        var members: [JSON.Member] = [
            .init("flags", .number(found.flags.rawValue)), .init("room", .number(sizes.room)),
            .init("header", .number(sizes.header)),
        ]
        if !found.flags.contains(.persistent) {
            do throws(Errno) {
                let image = try TunnelImage(ofDevice: found.name)
                members.append(.init("device", image.json))
                image.losses(found.name).forEach {
                    descriptions.note(loss: "process \(seen.pid), descriptor \(seen.number): \($0)")
                }
            } catch {
                throw descriptions.unreadable(seen, error, "rtnetlink, ioctl(SIOCETHTOOL)")
            }
        }
        descriptions.supplement[.tunnel, file.id] = .object(members)
        var entry = TunfileEntry()
        entry.id = file.id
        entry.netdev = String(decoding: found.name, as: UTF8.self)
        return descriptions.record(.tunf, file.id) { $0.tunf = entry }
    }
}
