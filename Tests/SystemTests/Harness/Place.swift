import CLinux
import Glibc
import Linux

/// Where the things are that the tests use.
enum Place {
    /// The sources of the project.
    static let project: String = {
        // This file is Tests/SystemTests/Harness/Place.swift.
        let parts = #filePath.split(separator: "/").dropLast(4)
        return "/" + parts.joined(separator: "/")
    }()

    /// The program under test: that of the environment variable APUS, or the one built last.
    static let apus: String = {
        if let given = unsafe getenv("APUS") { return unsafe String(cString: given) }
        let built = [".build/apus", ".build/release/apus", ".build/debug/apus"].map { project + "/" + $0 }
        return built.first(where: exists) ?? built[0]
    }()

    /// How much longer than usual everything may take: on an emulated processor, see scripts/vm-test.sh.
    static let patience: Double = {
        guard let given = unsafe getenv("APUS_TEST_PATIENCE") else { return 1 }
        return unsafe max(Double(String(cString: given)) ?? 1, 1)
    }()

    /// A program that was built together with the tests.
    static func besideTests(_ name: String) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = String(decoding: buffer.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/" + name
    }

    /// PIDFD_THREAD, since Linux 6.9.
    static let hasThreadDescriptors: Bool = {
        let descriptor = apus_syscall(434, UInt(getpid()), 0o200, 0, 0, 0, 0)
        if descriptor >= 0 { close(Int32(descriptor)) }
        return descriptor >= 0
    }()

    /// Whether the kernel lets a tracer read and set how system calls are dispatched (PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG).
    static let showsDispatch = (try? HostFacts().kernel).map { $0 >= KernelVersion(6, 4) } ?? false

    static let fixtures = project + "/Tests/Fixtures"

    /// A program of Tests/Subjects.
    static func subject(_ name: String) -> String { project + "/Tests/Subjects/build/" + name }
}
