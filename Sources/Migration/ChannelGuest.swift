internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import SystemPackage

/// A process that was reached by another connection of a migration, and hands that over to the one that takes the tree.
enum ChannelGuest {

    /// Hands the connection over, and waits until it is not needed any more: whoever has started this process may take its
    /// end for that of the connection.
    ///
    /// - Parameter words: what the source has said: the uuid of the migration, its secret, the number of the channel.
    /// - Returns: the exit status.
    /// - Throws: `channels-unusable` where there is no such migration here.
    static func serve(_ wire: Wire, _ uuid: String, _ words: JSON) throws(Problem) -> Int32 {
        guard words["protocol"]?.bits == UInt64(Frame.version) else { throw BodyReader.malformed }
        let message: JSON = ["secret": words["secret"] ?? .null, "number": words["number"] ?? .null]
        let payload = Array(message.text(indented: false).utf8)
        guard payload.count <= ChannelDoor.longestMessage else { throw BodyReader.malformed }
        var failure = Errno.noSuchFileOrDirectory
        for place in ScratchFolder.places {
            do throws(Errno) {
                let door = try Sockets.make(Sockets.unix, Sockets.stream)
                try Sockets.connect(door.raw, address(place.appending(ScratchFolder.incoming + uuid)))
                // Whoever else could have made such a folder is to get nothing.
                guard let peer = try Sockets.peerCredentials(of: door.raw), peer.uid == geteuid() else {
                    throw .notPermitted
                }
                var parcel = SocketMessage(payload)
                parcel.descriptors = [wire.descriptors.input, wire.descriptors.output]
                guard try Sockets.send(door.raw, parcel) == payload.count else { throw .ioError }
                return try wait(door.raw)
            } catch {
                if failure == .noSuchFileOrDirectory { failure = error }
            }
        }
        let problem = Problem(
            .channelsUnusable, "there is no migration here that the connection belongs to",
            cause: .init(failure, attempted: "connect"),
            remedy:
                "See that the same user takes all connections, with the same /dev/shm; or migrate without --channels")
        try? wire.send(.failed, ["problems": JSON.problems([problem])])
        throw problem
    }

    private static func wait(_ door: Int32) throws(Errno) -> Int32 {
        while !Cancellation.requested {
            var entries = [Files.PollEntry(door, .readable)]
            if try Files.poll(&entries, timeout: 500_000_000, retrying: true) > 0 { return 0 }
        }
        return 1
    }

    /// Of the door in a folder (unix(7)).
    static func address(_ folder: FilePath) -> [UInt8] {
        [UInt8(Sockets.unix), 0] + Array(folder.appending(ChannelDoor.name).string.utf8) + [0]
    }
}
