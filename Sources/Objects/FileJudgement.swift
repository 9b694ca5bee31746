internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Whether a file of this host will do for one of the images.
///
/// What is asked of it follows from its use, unless somebody has said otherwise: what is mapped or executed has to be the
/// same, since the pages that the images lack come from it; what the program writes to may have grown, since the program of an
/// earlier restore may have gone on with it; what it reads may have grown, too, as a log does, if it begins as it did.
struct FileJudgement {
    let entry: RegFileEntry
    /// What the dump knows of it; nil in images of CRIU.
    let needed: NeededFile?
    let uses: NeededFile.Uses
    /// What somebody has asked for.
    let policy: FilePolicy?
    /// What the images say of its size is of a moment ago, and the tree runs on: that the file grows means nothing.
    var isRehearsal = false

    enum Verdict: Sendable, Equatable {
        /// It will do, perhaps with a warning.
        case accepted(String?)
        /// It will not, for a reason that goes on "the file ...".
        case refused(String)
    }

    /// What is known of the size.
    private var size: UInt64? { needed?.size ?? (entry.hasSize ? entry.size : nil) }

    /// Judges a regular file.
    ///
    /// - Parameter open: opens it for reading.
    func verdict(on status: FileStatus, open: () -> OwnedDescriptor?) -> Verdict {
        if let needed, needed.isUntouched(status) { return .accepted(nil) }
        switch policy {
        case .exact, .ship: return exact(status, open)
        case .buildID: return byBuildID(status, open)
        case .size: return bySize(status)
        case .grown: return grown(status, open)
        case .ignore: return .accepted(nil)
        case nil: break
        }
        if !uses.isDisjoint(with: .written) { return grown(status, open) }
        // Images of CRIU tell the size of a file, and nothing else that holds for all.
        guard needed != nil else { return bySize(status) }
        if !uses.isDisjoint(with: [.mapped, .executed]) { return content(status, open) }
        return uses.contains(.reading) ? grown(status, open) : .accepted(nil)
    }

    // MARK: The policies

    /// The same content, or another build of the same name and build id that is at least as long.
    private func content(_ status: FileStatus, _ open: () -> OwnedDescriptor?) -> Verdict {
        if let needed, !needed.buildID.isEmpty, status.size >= needed.size, let file = open(),
            let id = BuildID.bytes(in: file.raw), id.elementsEqual(needed.buildID)
        {
            return .accepted(nil)
        }
        if needed?.digest != nil { return exact(status, open) }
        let verdict = bySize(status)
        guard case .accepted = verdict else { return verdict }
        return .accepted(
            "has the size that it had; its content was not compared: \(needed?.unread ?? "it is not known")")
    }

    private func exact(_ status: FileStatus, _ open: () -> OwnedDescriptor?) -> Verdict {
        guard let wanted = needed?.digest else {
            return .refused(
                "cannot be compared: the images do not tell its content (\(needed?.unread ?? "they are not of Apus"))")
        }
        if let size, status.size != size { return .refused(Self.sizes(status.size, size)) }
        return content(wanted, limit: .max, open) ?? .accepted(nil)
    }

    /// What is wrong with the content of the file as far as the limit; nil where nothing is.
    private func content(_ wanted: ContentDigest, limit: UInt64, _ open: () -> OwnedDescriptor?) -> Verdict? {
        guard let file = open() else { return .refused("cannot be read") }
        let found: ContentDigest?
        do throws(Errno) {
            found = try ContentDigest.read(file.raw, limit: limit, while: { !Cancellation.requested })?.digest
        } catch {
            return .refused("cannot be read (\(error.description))")
        }
        if found == wanted { return nil }
        return .refused(
            limit == .max
                ? "has another content than it had, in the same size"
                : "has grown, and begins with another content than it had")
    }

    private func byBuildID(_ status: FileStatus, _ open: () -> OwnedDescriptor?) -> Verdict {
        let recorded = needed?.buildID ?? Self.bytes(of: entry.buildID)
        if recorded.isEmpty { return needed?.digest == nil ? bySize(status) : exact(status, open) }
        var found: [UInt8] = []
        if let file = open() { found = BuildID.bytes(in: file.raw).map(Array.init) ?? [] }
        // Images of CRIU hold whole words.
        let same = needed == nil ? found + [UInt8](repeating: 0, count: (4 - found.count % 4) % 4) : found
        if same == recorded { return .accepted(nil) }
        let now = found.isEmpty ? "no build id" : "the build id \(Hexadecimal.text(found))"
        return .refused("has \(now) now and had \(Hexadecimal.text(recorded))")
    }

    private func bySize(_ status: FileStatus) -> Verdict {
        guard let size, status.size != size else { return .accepted(nil) }
        return .refused(Self.sizes(status.size, size))
    }

    private func grown(_ status: FileStatus, _ open: () -> OwnedDescriptor?) -> Verdict {
        guard let size else { return .accepted(nil) }
        let isAppended = !uses.contains(.writing) && !uses.contains(.mappedForWriting) && uses.contains(.appending)
        if status.size < size {
            // Whoever only appends does not mind, and a log that was rotated is still its log.
            if isAppended { return .accepted("has been cut to \(status.size) bytes since the dump, from \(size)") }
            return .refused(Self.sizes(status.size, size) + (entry.pos > status.size ? ", less than its position" : ""))
        }
        if let wanted = needed?.digest {
            let whole = status.size == size
            if let refusal = content(wanted, limit: whole ? .max : size, open) { return refusal }
        }
        if status.size == size || isRehearsal { return .accepted(nil) }
        let growth = "has grown by \(status.size - size) bytes since the dump"
        if isAppended || uses.isDisjoint(with: .written) { return .accepted(growth) }
        return .accepted("\(growth); what the program writes goes on at byte \(entry.pos), where it was")
    }

    private static func sizes(_ now: UInt64, _ then: UInt64) -> String { "has \(now) bytes now and had \(then)" }

    private static func bytes(of words: [UInt32]) -> [UInt8] {
        words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
    }
}
