internal import Images
internal import Linux

extension ProcessorLevel {
    /// The level that no process of a tree goes beyond, by the environments that they have begun with.
    ///
    /// - Returns: nil where one of them may use all that its processor has.
    static func kept(by processes: [SurveyedProcess]) -> ProcessorLevel? {
        var highest: ProcessorLevel?
        for process in processes where !process.isZombie {
            guard let environment = try? ProcessDirectory(process.eye).environment(),
                let level = ProcessorLevel(environment: environment)
            else { return nil }
            highest = max(highest ?? level, level)
        }
        return highest
    }
}
