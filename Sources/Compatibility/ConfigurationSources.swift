internal import Diagnostics
internal import Glibc
internal import Linux
public import SystemPackage

/// Where configuration files are, and how they are read.
///
/// In the order in which they count, later ones over earlier ones: the default files, the file that CRIU_CONFIG_FILE
/// names, the file of `--config`; and then the command line over all of them.
public struct ConfigurationSources: Sendable {
    /// The default files, those of the system first. They may be absent.
    public var defaults: [FilePath]
    /// The file that the environment names.
    public var environment: FilePath?
    /// Reads a file.
    var read: @Sendable (FilePath) -> Result<[UInt8], Errno>

    /// Sources of one's own, for tests.
    init(
        defaults: [FilePath] = [], environment: FilePath? = nil,
        read: @escaping @Sendable (FilePath) -> Result<[UInt8], Errno> = { _ in .failure(.noSuchFileOrDirectory) }
    ) {
        self.defaults = defaults
        self.environment = environment
        self.read = read
    }

    /// The files of this host and user: CRIU's default files, and Apus's own beside them.
    public static func host() -> ConfigurationSources {
        var defaults: [FilePath] = ["/etc/criu/default.conf", "/etc/apus/apus.conf"]
        let home = variable("HOME")
        if let home { defaults.append(home.appending(".criu/default.conf")) }
        if let base = variable("XDG_CONFIG_HOME") ?? home?.appending(".config") {
            defaults.append(base.appending("apus/apus.conf"))
        }
        return ConfigurationSources(
            defaults: defaults, environment: variable("CRIU_CONFIG_FILE"), read: { contents(of: $0) })
    }

    private static func variable(_ name: String) -> FilePath? {
        // unsafe: a C string that lives until the environment changes, which nothing here does.
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe FilePath(platformString: value)
    }

    private static func contents(of path: FilePath) -> Result<[UInt8], Errno> {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            return try file.closeAfter {
                var bytes: [UInt8] = []
                while bytes.count < maximumSize {
                    let piece = try unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
                        // unsafe: read(2) fills the buffer that the array hands out.
                        count = unsafe try file.read(into: UnsafeMutableRawBufferPointer(buffer))
                    }
                    if piece.isEmpty { return .success(bytes) }
                    bytes += piece
                }
                return .failure(.fileTooLarge)
            }
        } catch {
            return .failure(error as? Errno ?? .ioError)
        }
    }

    /// No configuration is as long as this; a device that never ends is.
    private static let maximumSize = 1 << 20
}

extension ConfigurationSources {
    /// The options of all files that apply, in the order in which they count, and what is wrong with them.
    func load(for commandLine: [GivenOption], resolver: OptionResolver) -> (given: [GivenOption], problems: [Problem]) {
        var given: [GivenOption] = []
        var problems: [Problem] = []
        func take(_ path: FilePath, mayBeAbsent: Bool) {
            switch read(path) {
            case .success(let bytes):
                let file = ConfigurationFile(bytes, name: path.string, resolver: resolver)
                given += file.given
                problems += file.problems
            case .failure(.noSuchFileOrDirectory) where mayBeAbsent, .failure(.notDirectory) where mayBeAbsent: break
            // A default file that its owner keeps to himself was not meant for this user.
            case .failure(.permissionDenied) where mayBeAbsent: break
            case .failure(let error):
                problems.append(
                    Problem(
                        .configurationUnreadable, "the configuration file cannot be read",
                        object: .init(path: path.string), cause: .init(error, attempted: "open(O_RDONLY)"),
                        remedy: "Correct the path or the permissions, or leave it out with --no-default-config"))
            }
        }
        let skipsDefaults = commandLine.contains { $0.option.long == "no-default-config" }
        if !skipsDefaults { for path in defaults { take(path, mayBeAbsent: true) } }
        if let environment { take(environment, mayBeAbsent: false) }
        let chosen = commandLine.last { $0.option.long == "config" }
        if let value = chosen?.value { take(FilePath(bytes: value), mayBeAbsent: false) }
        return (given, problems)
    }
}
