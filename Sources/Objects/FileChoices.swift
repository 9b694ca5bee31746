public import Images
internal import Linux
internal import SystemPackage

/// What a restore takes for the files of its images: decided when it is asked what stands in its way, and held to when the
/// files are opened.
public final class FileChoices {
    /// What somebody has asked for.
    private let rules: FileRules
    /// Files of this host that differ may be replaced by copies (`--overwrite-files`).
    let overwrites: Bool
    /// Files that the tree writes to grow: it runs on.
    private let isRehearsal: Bool
    /// What the dump knows of the files, by the ids of their descriptions.
    private var needed: [UInt32: NeededFile] = [:]
    private var chosen: [Key: FileChoice] = [:]
    private var verdicts: [Key: (status: FileStatus, verdict: FileJudgement.Verdict)] = [:]
    /// What of this host is otherwise than it was, in words.
    public private(set) var warnings: [String] = []

    private struct Key: Hashable {
        let id: UInt32
        let isMapping: Bool
    }

    public init(
        manifest: Manifest? = nil, rules: FileRules = FileRules(), overwrites: Bool = false, isRehearsal: Bool = false
    ) {
        self.rules = rules
        self.overwrites = overwrites
        self.isRehearsal = isRehearsal
        for file in manifest?.needed ?? [] {
            for id in file.descriptions { needed[id] = file }
        }
    }

    func needed(_ file: NamedFile) -> NeededFile? {
        // Of a description that leads to another file than the manifest says, the manifest says nothing.
        needed[file.entry.id].flatMap { $0.path == file.path ? $0 : nil }
    }

    /// What the tree does with a file.
    func uses(of file: NamedFile) -> NeededFile.Uses {
        if let needed = needed(file) { return needed.uses }
        let isWritten = !file.flags.isDisjoint(with: [.writeOnly, .readWrite])
        if file.isMapping { return isWritten ? .mappedForWriting : .mapped }
        if file.flags.contains(.path) { return .place }
        return isWritten ? (file.flags.contains(.append) ? .appending : .writing) : .reading
    }

    func verdict(on file: NamedFile, _ status: FileStatus) -> FileJudgement.Verdict {
        let key = Key(id: file.entry.id, isMapping: file.isMapping)
        if let known = verdicts[key], known.status == status { return known.verdict }
        let needed = needed(file)
        let policy = rules.policy(for: file.path) ?? needed?.policy.flatMap(FilePolicy.init) ?? rules.byDefault
        let judgement = FileJudgement(
            entry: file.entry, needed: needed, uses: uses(of: file), policy: policy, isRehearsal: isRehearsal)
        let verdict = judgement.verdict(
            on: status, open: { try? Files.open(file.path, [.readOnly, .nonBlocking, .noControllingTerminal]) })
        verdicts[key] = (status, verdict)
        return verdict
    }

    func choose(_ choice: FileChoice, for file: NamedFile) {
        chosen[Key(id: file.entry.id, isMapping: file.isMapping)] = choice
    }

    func choice(for file: NamedFile) -> FileChoice? { chosen[Key(id: file.entry.id, isMapping: file.isMapping)] }

    func warn(_ text: String) {
        if !warnings.contains(text) { warnings.append(text) }
    }
}

@available(*, unavailable)
extension FileChoices: Sendable {}

/// What is opened for a file.
enum FileChoice {
    /// This host's own, which was looked at.
    case host(FileStatus)
    /// The copy with this content, from the store.
    case copy(ContentDigest)
    /// A copy that gets the file's name when the tree runs.
    case placed(FilePlacing)
}

extension RestoreSite {
    func verdict(on file: NamedFile, _ status: FileStatus) -> FileJudgement.Verdict {
        choices.verdict(on: file, status)
    }

    func uses(of file: NamedFile) -> NeededFile.Uses { choices.uses(of: file) }
    func choose(_ choice: FileChoice, for file: NamedFile) { choices.choose(choice, for: file) }
    func choice(for file: NamedFile) -> FileChoice? { choices.choice(for: file) }
    func warn(_ text: String) { choices.warn(text) }
}
