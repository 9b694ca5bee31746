internal import Diagnostics
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// What a frozen process does not have to be asked for and the survey does not need: read while others are being asked
/// (``Ahead``).
struct StillFacts: Sendable {
    /// Of personality(2).
    let personality: UInt32
    /// -1, as an unsigned number, where the kernel has none (without CONFIG_AUDIT).
    let loginUser: UInt32
    let outOfMemoryAdjustment: Int32
    /// Without the pair of zeros at its end.
    let auxiliaryVector: [UInt64]
    /// As far as it can be seen.
    let settings: ProcessSettings.Visible
    /// nil where the page tables are looked at later on.
    let pages: Pages?

    /// What one look at its page tables tells.
    struct Pages: Sendable {
        /// Its large mappings, by their addresses.
        let looks: [UInt64: PageLook]
        let guards: [Range<UInt64>]

        /// - Parameter known: what was seen of some of the mappings.
        init(_ surveyed: SurveyedProcess, known: [UInt64: PageLook] = [:]) throws(Problem) {
            do throws(Errno) { looks = try PageLook.all(surveyed.eye, surveyed.areas, known: known) } catch {
                throw Problem(
                    .memoryUnreachable, "the state of its pages cannot be read", object: surveyed.object,
                    cause: .init(error, attempted: "ioctl(PAGEMAP_SCAN)"), remedy: "Run Apus as root")
            }
            guards = try GuardPages.find(surveyed.eye, surveyed.areas, looks: looks)
        }
    }

    /// - Parameter looksAtPages: not where somebody changes the page tables meanwhile.
    init(_ surveyed: SurveyedProcess, looksAtPages: Bool) throws(Problem) {
        let directory = ProcessDirectory(surveyed.eye)
        do throws(ProcfsError) {
            personality = try directory.personality()
            loginUser = try directory.ifKnown { () throws(ProcfsError) in try directory.loginUser() } ?? .max
            settings = try .init(directory, leadsSession: surveyed.stat.session == surveyed.pid)
            outOfMemoryAdjustment = try directory.outOfMemoryAdjustment()
            var words = try directory.auxiliaryVector()
            while words.count >= 2 && words[words.count - 1] == 0 && words[words.count - 2] == 0 { words.removeLast(2) }
            auxiliaryVector = words
        } catch {
            throw Problem(
                .objectUnreadable, "its state cannot be read", object: surveyed.object,
                cause: .init(error.errno ?? .ioError, attempted: "read of \(error.file)"), remedy: "Run Apus as root")
        }
        pages = looksAtPages ? try Pages(surveyed) : nil
    }
}
