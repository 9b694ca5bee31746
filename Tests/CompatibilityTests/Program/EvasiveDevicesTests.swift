import Glibc
import SystemPackage
import Testing

@testable import Compatibility

/// `--evasive-devices`: a device whose own name is gone is opened by another.
@Suite(.enabled(if: geteuid() == 0, "needs root")) struct EvasiveDevicesTests {
    @Test(.timeLimit(.minutes(1))) func deletedDeviceIsFoundByItsNumbers() throws {
        let directory = try TemporaryDirectory()
        let device = directory.path.appending("device").string

        // Only the standard descriptors and the device: what the tests have open is none of the target's business.
        let script = """
            mknod \(device) c 1 3 || exit 1
            for f in /proc/$BASHPID/fd/*; do n=${f##*/}; [ $n -le 2 ] || eval "exec $n>&-"; done
            setsid sh -c 'exec sleep 60' 0</dev/null >\(device) 2>\(device) & echo $!
            sleep 0.2; rm \(device)
            """
        let shell = try Program.run(
            ["-c", script].map { Array($0.utf8) }, name: "bash", executable: "/bin/bash", in: directory)
        try #require(shell.status == 0, "\(shell.errors)")
        let target = try #require(Int32(shell.output.dropLast()))
        defer { kill(target, SIGKILL) }
        let images = "-D \(directory.path.string)"
        let refused = try Program.run("dump -t \(target) \(images) --leave-running", in: directory)
        #expect(refused.status == 1)
        #expect(refused.errors.contains("error[file-deleted]"))
        let dumped = try Program.run("dump -t \(target) \(images) --evasive-devices", in: directory)
        try #require(dumped.status == 0, "\(dumped.errors)")
        let restored = try Program.run("restore \(images) -d --pidfile pid", in: directory)
        try #require(restored.status == 0, "\(restored.errors)")
        var link = [CChar](repeating: 0, count: 256)
        // unsafe: readlink(2) into a local array.
        let count = unsafe readlink("/proc/\(target)/fd/1", &link, link.count)
        #expect(
            String(decoding: link.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self) == "/dev/null")
    }
}
