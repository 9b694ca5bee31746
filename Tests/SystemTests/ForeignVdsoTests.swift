import Glibc
import Images
import SystemPackage
import Testing

/// Images of a kernel with another vdso: the addresses that a program knows go on working. The other kernel is made of
/// this one's, by changing the bytes of the vdso that the images hold.
@Suite("The vdso of another kernel", .enabled(if: geteuid() == 0, "needs root"))
struct ForeignVdsoTests {
    /// How the images are made to look as if they were another kernel's.
    enum Change: CustomTestStringConvertible {
        /// A byte without meaning: all code stays, so that a thread may stand in the midst of it.
        case mark
        /// All code becomes breakpoints: whatever still ran of it would be killed.
        case breakpoints

        var testDescription: String {
            switch self {
            case .mark: "a mark"
            case .breakpoints: "breakpoints"
            }
        }
    }

    @Test(arguments: [Change.mark, .breakpoints])
    func oldAddressesGoOnWorking(_ change: Change) throws {
        // A thread that is within the vdso most of the time, where that may be.
        let arguments: [String]
        switch change {
        case .mark: arguments = []
        case .breakpoints: arguments = ["calm"]
        }
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "clocks", arguments: arguments), in: world)
            var own: [String] = []
            // Each round comes from yet another kernel: the vdso of the last restore is foreign to the next.
            for round in 1...3 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)")
                try alter(world.path("images-\(round)"), change)
                try world.requireRestore("images-\(round)")
                // All but the mappings is as it was.
                let changes = running.changes(since: before) { $0.contains(" maps: ") }
                #expect(changes == [], "round \(round)")
                #expect(running.check() == [], "round \(round)")
                let place = vdso(of: running)
                #expect(!place.isEmpty && !own.contains(place), "this kernel's own is elsewhere: \(place)")
                own.append(place)
            }
            // The last as it is: this kernel's vdso has its place by now.
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images")
            try world.requireRestore("images")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// Any process of a tree, and all its threads; those of 32 bits find their way out of the system calls that they
    /// made through the old vdso.
    @Test(arguments: Subject.all.filter { ["tree", "threads", "signals", "tree-32"].contains($0.name) })
    func programsGoOn(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            for round in 1...2 {
                try world.requireDump(running.pid, to: "images-\(round)")
                // A 32-bit program sleeps within its vdso.
                try alter(world.path("images-\(round)"), subject.name == "tree-32" ? .mark : .breakpoints)
                try world.requireRestore("images-\(round)")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    @Test(.enabled(if: !Subject.compat.isEmpty, "needs a compiler and a kernel for 32-bit programs"))
    func a32BitProgramGoesOn() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "compat-32"), in: world)
            var own = [vdso(of: running)]
            for round in 1...3 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)")
                try alter(world.path("images-\(round)"), .mark)
                try world.requireRestore("images-\(round)")
                #expect(running.changes(since: before) { $0.contains(" maps: ") } == [], "round \(round)")
                #expect(running.check() == [], "round \(round)")
                let place = vdso(of: running)
                #expect(!place.isEmpty && !own.contains(place), "this kernel's own is elsewhere: \(place)")
                own.append(place)
            }
        }
    }

    @Test func aVdsoOfNoUseIsNamed() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try world.requireDump(running.pid, to: "images")
            try rewrite(world.path("images")) { image in image = image.map { _ in 0x90 } }
            let restore = try world.restore("images")
            #expect(restore.status == 1)
            #expect(restore.errors.contains("vdso") && restore.errors.contains("\(running.pid)"), "\(restore)")
            #expect(world.processes == [])
        }
    }

    // MARK: Images

    /// Where the first process has this kernel's own vdso.
    private func vdso(of running: RunningSubject) -> String {
        lines("\(running.world.proc)/\(running.pid)/maps").filter { $0.hasSuffix("[vdso]") }.joined()
    }

    private func alter(_ images: String, _ change: Change) throws {
        try rewrite(images) { image in
            image[9] ^= 0xff  // a byte of e_ident without meaning
            switch change {
            case .mark: break
            case .breakpoints:
                // From the first function to the end of the last, found by their symbols as in a program's headers.
                guard let (start, end) = code(image) else { return }
                for index in start..<end { image[index] = 0xcc }
            }
        }
    }

    /// A program has moved its vdso: it finds it where it has moved it to, round after round.
    @Test func aVdsoThatTheProgramHasMoved() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "moved-vdso"), in: world)
            for round in 1...3 {
                try world.requireDump(running.pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// The bytes between which all exported functions lie, by the section headers.
    private func code(_ image: [UInt8]) -> (Int, Int)? {
        func number(_ place: Int, _ size: Int) -> Int {
            (0..<size).reversed().reduce(0) { $0 << 8 | Int(image[place + $1]) }
        }
        let (table, size, count) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2))
        for index in 0..<count {
            let section = table + index * size
            // SHT_PROGBITS, SHF_EXECINSTR
            if number(section + 4, 4) == 1 && number(section + 8, 8) & 4 != 0 {
                let offset = number(section + 0x18, 8)
                return (offset, offset + number(section + 0x20, 8))
            }
        }
        return nil
    }

    /// Changes the bytes of every vdso in the images.
    private func rewrite(_ images: String, _ change: (inout [UInt8]) -> Void) throws {
        // It has the checksums of the images as they were.
        _ = unsafe unlink(images + "/manifest.json")
        let directory = try ImageDirectory(opening: FilePath(images))
        let layers = try PageLayers(of: directory)
        for task in try CheckpointImages(reading: directory, architecture: .x8664).tasks {
            guard let vma = task.memory?.vmas.first(where: { $0.kind.contains(.vdso) }) else { continue }
            let segments = try layers.segments(id: UInt64(task.pid))
            let segment = try #require(
                segments.first { $0.address <= vma.start && vma.start < $0.address + $0.pages * 4096 })
            let file = unsafe open("\(images)/pages-\(segment.pagesID).img", O_RDWR)
            defer { close(file) }
            let place = off_t(segment.fileOffset + (vma.start - segment.address))
            var bytes = [UInt8](repeating: 0, count: Int(vma.end - vma.start))
            try #require(unsafe pread(file, &bytes, bytes.count, place) == bytes.count)
            change(&bytes)
            try #require(unsafe pwrite(file, bytes, bytes.count, place) == bytes.count)
        }
    }
}
