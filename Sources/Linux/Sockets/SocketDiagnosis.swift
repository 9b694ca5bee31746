internal import SystemPackage

/// Questions to the kernel about all sockets of a family (sock_diag(7)), and what its answers are made of.
enum SocketDiagnosis {
    /// Asks about the sockets of the network namespace that Apus is in.
    ///
    /// - Parameters:
    ///   - number: the protocol, where the family has several.
    ///   - extensions: what is to be told beside the usual (INET_DIAG_* as bits).
    ///   - words: what follows family and protocol in the request of this family.
    ///   - take: is given each part of the answer, and tells whether it was the last.
    /// - Throws: ENOENT where the kernel lacks the module of the family.
    static func ask(
        _ family: Int32, protocol number: Int32 = 0, beside extensions: UInt8 = 0, _ words: [UInt32],
        _ take: ([UInt8]) throws(Errno) -> Bool
    ) throws(Errno) {
        let socket = try Sockets.make(Sockets.netlink, 3, 4)
        let (byFamily, request, dump): (UInt16, UInt16, UInt16) = (20, 0x1, 0x300)
        var question: [UInt8] = []
        question.append(integer: UInt32(20 + 4 * words.count))
        question.append(integer: byFamily)
        question.append(integer: request | dump)
        question.append(integer: UInt32(1))
        question.append(integer: UInt32(0))
        question += [UInt8(family), UInt8(number), extensions, 0]
        for word in words { question.append(integer: word) }
        try Sockets.send(socket.raw, SocketMessage(question))
        while try !take(try Files.readSome(socket.raw, atMost: 256 << 10)) {}
    }

    /// The messages in a part of an answer.
    ///
    /// - Returns: whether this was the last part.
    static func messages(in answer: [UInt8], _ take: (ArraySlice<UInt8>) -> Void) throws(Errno) -> Bool {
        let (error, done): (UInt16, UInt16) = (2, 3)
        var rest = answer[...]
        while rest.count >= 16 {
            let length = Int(rest.integer(at: 0, of: UInt32.self))
            guard length >= 16, length <= rest.count else { throw .badMessage }
            let type = rest.integer(at: 4, of: UInt16.self)
            if type == done { return true }
            let body = rest.dropFirst(16).prefix(length - 16)
            if type == error {
                throw Errno(rawValue: -Int32(bitPattern: body.integer(at: 0, of: UInt32.self)))
            }
            take(body)
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return false
    }
}
