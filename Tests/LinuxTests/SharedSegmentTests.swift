import Linux
import Testing

@Suite struct SharedSegmentTests {
    private static let text = """
               key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime
                 0         13  1600                 12288  5378  5379      1     1     2     3     4 1795451754
          -2147483647 2147483647  2640   18446744073709551615     1     1      0     0     0     0     0          0

        """

    @Test func segments() throws {
        let found = try SharedSegment.parse(Array(Self.text.utf8))
        #expect(found.map(\.id) == [13, 2_147_483_647])
        #expect(found[0].mode == 0o1600 && found[0].mode & SharedSegment.removed != 0 && found[0].attached == 1)
        #expect([found[0].uid, found[0].gid, found[0].creatorUID, found[0].creatorGID] == [1, 2, 3, 4])
        #expect(found[1].key == -2_147_483_647 && found[1].mode & SharedSegment.locked != 0)
        #expect(found[1].size == .max)
    }

    @Test func aLineThatIsCutShort() {
        #expect(throws: ProcfsError.self) { try SharedSegment.parse(Array("key\n 0 13 1600 12\n".utf8)) }
    }
}
