internal import Images

/// What is on its way between processes.
extension Planner {
    /// Opens the descriptions that wait in the queues of sockets; no task may have them.
    mutating func openWhatIsUnderWay() {
        let wanted = Set(images.unixSockets.packets.values.joined().flatMap(\.descriptions))
        guard !wanted.isEmpty else { return }
        for key in images.files.entries.keys.filter({ wanted.contains($0.id) }).sorted(by: { $0.id < $1.id }) {
            _ = descriptor(key)
        }
    }
}
