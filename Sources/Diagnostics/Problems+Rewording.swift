// Whoever has called knows more than whoever has failed. What is no problem, or are no problems, stays as it is.
extension Problems {
    /// An error whose problems are put otherwise, each by itself.
    public static func rewording(_ error: any Error, _ change: (inout Problem) -> Void) -> any Error {
        switch error {
        case var one as Problem:
            change(&one)
            return one
        case let several as Problems:
            var all = several.all
            for index in all.indices { change(&all[index]) }
            return Problems(all[0], Array(all.dropFirst()))
        default: return error
        }
    }

    /// An error that ends with a note to the reader, behind the last remedy, unless it stands there already.
    public static func adding(_ note: String, to error: any Error) -> any Error {
        func add(to problem: inout Problem) {
            guard !problem.remedy.contains(note) else { return }
            problem.remedy += problem.remedy.isEmpty ? note : ". \(note)"
        }
        guard let several = error as? Problems else { return rewording(error, add) }
        var all = several.all
        add(to: &all[all.count - 1])
        return Problems(all[0], Array(all.dropFirst()))
    }
}
