internal import Diagnostics
internal import Images
internal import SystemPackage

/// Problems that travel from one host to the other.
extension Problem {
    /// Reads what ``Problem/json`` has written; nil where it is none.
    init?(_ json: JSON) {
        guard let code = json["code"]?.string, let summary = json["summary"]?.string else { return nil }
        var object = Object()
        if let place = json["object"] {
            object.pid = place["pid"]?.bits.flatMap { Int32(truncatingIfNeeded: $0) }
            object.process = place["process"]?.string
            object.fd = place["fd"]?.bits.flatMap { Int32(truncatingIfNeeded: $0) }
            object.path = place["path"]?.string
            object.address = place["address"]?.string.flatMap { UInt64($0.dropFirst(2), radix: 16) }
        }
        var cause: Cause?
        if let errno = json["cause"]?["errno"]?.bits, let attempted = json["cause"]?["attempted"]?.string {
            cause = Cause(Errno(rawValue: Int32(truncatingIfNeeded: errno)), attempted: attempted)
        }
        self.init(
            Code(rawValue: code), summary, object: object, cause: cause, remedy: json["remedy"]?.string ?? "")
    }

    /// The same, said of another host.
    func on(_ host: String) -> Problem {
        var problem = self
        problem.summary = "on \(host): \(summary)"
        return problem
    }
}

extension JSON {
    /// Problems as an array.
    static func problems(_ problems: [Problem]) -> JSON { .array(problems.map(\.json)) }

    /// The problems of a member that is an array of them.
    func problems(_ name: String) -> [Problem] { (self[name]?.elements ?? []).compactMap { Problem($0) } }

    /// The texts of a member that is an array of them.
    func texts(_ name: String) -> [String] { (self[name]?.elements ?? []).compactMap(\.string) }
}

extension Problems {
    /// What was thrown, whatever it is.
    static func all(of error: any Error) -> [Problem] {
        switch error {
        case let several as Problems: several.all
        case let one as Problem: [one]
        default: [Problem(.badProtocol, "\(error)", remedy: "Report this")]
        }
    }
}
