internal import Diagnostics
internal import Objects

/// Tells which keys the processes of a tree lose. Most have those of the session that all were started in: that is said
/// once for all.
struct KeyringLosses {
    private var own: [String] = []
    private var sessions: [Keyrings.Session: [Problem.Object]] = [:]

    mutating func add(_ captured: CapturedProcess, _ object: Problem.Object) {
        if !captured.keyrings.isEmpty {
            own.append(
                "\(object.description): the keys of its \(captured.keyrings.joined(separator: " and ")) keyring are not carried"
            )
        }
        if let session = captured.session { sessions[session, default: []].append(object) }
    }

    var texts: [String] {
        own
            + sessions.sorted { $0.key.serial < $1.key.serial }.map { session, objects in
                let others = objects.count > 1 ? " and \(objects.count - 1) more" : ""
                let keys = session.keys == 1 ? "1 key" : "\(session.keys) keys"
                return
                    "\(objects[0].description)\(others): the session keyring \(session.name) (\(keys)) is not carried;"
                    + " after a restore it is that of Apus"
            }
    }
}
