internal import Linux
internal import SystemPackage

// A check asks whether sockets can have their addresses before these are there.

extension RestoreSite {
    /// Lets a socket, which is made for a trial, have an address that is yet to come.
    func countOnComing(_ address: InetAddress, for socket: Int32) throws(Errno) {
        guard comingAddresses.contains(address.end.address) else { return }
        // IP_FREEBIND, IPV6_FREEBIND.
        let (four, six): (Int32, Int32) = (15, 78)
        try Sockets.set(
            socket, address.isSix ? six : four, level: address.isSix ? InetSocket.ipv6 : 0, to: 1)
    }
}
