import Linux
import Testing

/// `/proc/sysvipc/sem` and `/proc/sysvipc/msg`.
@Suite struct SystemVTextTests {
    @Test func semaphores() throws {
        let text = """
                   key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime
            1095766272          1   640          5  1000     2     3     4 1795897709 1795897709
                     0 2147483647   600      32000     0     0     0     0          0 1795897709

            """
        let found = try SemaphoreSet.parse(Array(text.utf8))
        #expect(found.map(\.id) == [1, .max] && found.map(\.key) == [1_095_766_272, 0])
        #expect(found.map(\.count) == [5, 32000] && found[0].mode == 0o640)
        #expect([found[0].uid, found[0].gid, found[0].creatorUID, found[0].creatorGID] == [1000, 2, 3, 4])
    }

    @Test func queues() throws {
        let text = """
                   key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime
            1095766272          0   620         400          5    17     4     1     2     3     4          1          2          3

            """
        let found = try MessageQueue.parse(Array(text.utf8))
        #expect(found.map(\.key) == [1_095_766_272] && found[0].mode == 0o620 && found[0].count == 5)
        #expect(found[0].lastSender == 17 && found[0].lastReceiver == 4)
        #expect([found[0].uid, found[0].gid, found[0].creatorUID, found[0].creatorGID] == [1, 2, 3, 4])
    }

    @Test(arguments: ["1 2 640", "x 1 640 5 1 2 3 4 5 6 7 8 9 0"])
    func whatIsNoLine(_ line: String) {
        #expect(throws: ProcfsError.self) { try SemaphoreSet.parse(Array("heads\n\(line)\n".utf8)) }
        #expect(throws: ProcfsError.self) { try MessageQueue.parse(Array("heads\n\(line)\n".utf8)) }
    }
}
