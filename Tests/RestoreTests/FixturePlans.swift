import Diagnostics
import Foundation
import Images
import Linux
import Objects
import SystemPackage

@testable import Restore

/// Plans for the image directories in `Tests/Fixtures`, on a host that is made up: the kernel that they were dumped on.
enum FixturePlans {
    static func directory(_ name: String) throws(Problem) -> ImageDirectory {
        var path = FilePath(#filePath)
        path.removeLastComponent()
        path.removeLastComponent()
        return try ImageDirectory(opening: path.appending("Fixtures/criu-4.2/\(name)"))
    }

    /// The vdso as the images of the root task hold it.
    static func host(for images: CheckpointImages, _ layers: PageLayers) throws -> RestoreHost {
        let root = try Unwrap.value(images.root?.memory)
        let vdso = try Unwrap.value(root.vmas.first { $0.kind.contains(.vdso) })
        let vvar = try Unwrap.value(root.vmas.first { $0.kind.contains(.vvar) })
        let pid = UInt64(try Unwrap.value(images.root).pid)
        let segment = try Unwrap.value(try layers.segments(id: pid).first { $0.address == vdso.start })
        let file = PagesFile(segment, of: layers)
        let bytes = try Unwrap.value(file.bytes(at: segment.fileOffset, count: vdso.end - vdso.start))
        let layout = ExtendedStateLayout(
            features: 0xe7, size: 2688,
            places: [.ymmUpper: 576..<832, .opmask: 1088..<1152, .zmmUpper: 1152..<1664, .zmmHigh: 1664..<2688])
        return RestoreHost(
            extendedState: layout, vdso: bytes, vvar: [vvar.end - vvar.start], vdsoOffset: vdso.start - vvar.start,
            lastCapability: 40, session: 7, processGroup: 8, openDescriptors: Set(0...20), lowestAddress: 65536)
    }

    /// - Parameter sameMemory: every task has the mappings and the page map of the root.
    static func plan(
        _ name: String, shellJob: Bool = false, leavesStopped: Bool = false, sameMemory: Bool = false,
        securityProfile: SecurityProfile? = nil,
        change: (inout CheckpointImages, inout RestoreHost) -> Void = { _, _ in }
    ) throws -> RestorePlan {
        var directory = try directory(name)
        let copy = FileManager.default.temporaryDirectory.appending(path: "apus-plan-\(UUID())")
        defer { try? FileManager.default.removeItem(at: copy) }
        if sameMemory {
            try FileManager.default.copyItem(atPath: directory.path.string, toPath: copy.path)
            for prefix in ["pagemap-", "mm-"] {
                let files = try FileManager.default.contentsOfDirectory(atPath: copy.path).filter {
                    $0.hasPrefix(prefix)
                }.sorted()
                let first = try Data(contentsOf: copy.appending(path: files[0]))
                for file in files.dropFirst() { try first.write(to: copy.appending(path: file)) }
            }
            directory = try ImageDirectory(opening: FilePath(copy.path))
        }
        var images = try CheckpointImages(reading: directory, architecture: .x8664)
        let layers = try PageLayers(of: directory)
        var host = try host(for: images, layers)
        change(&images, &host)
        return try Planner.plan(
            images, pages: layers, host: host, shellJob: shellJob, leavesStopped: leavesStopped,
            securityProfile: securityProfile)
    }
}

enum Unwrap {
    struct Missing: Error {}
    static func value<T>(_ value: T?) throws -> T {
        guard let value else { throw Missing() }
        return value
    }
}
