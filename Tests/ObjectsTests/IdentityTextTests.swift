import Testing

@testable import Objects

/// What the kernel writes about labels and keys.
struct IdentityTextTests {
    @Test func profiles() {
        #expect(SecurityModule.profile("unconfined") == nil)
        #expect(SecurityModule.profile("/usr/sbin/ntpd (enforce)") == "/usr/sbin/ntpd")
        #expect(SecurityModule.profile("a (b) c (complain)") == "a (b) c")
        #expect(SecurityModule.profile("name") == "name")
    }

    @Test func keys() {
        let users = "    0:     9 8/8 3/1000000 40/25000000\n 1000:     2 2/2 2/200 19/20000\nrubbish\n"
        #expect(Keyrings.counts(users).map(\.user) == [0, 1000] && Keyrings.counts(users).map(\.keys) == [8, 2])
        let keys = """
            02f71bf2 I------     1 perm 0f0b0000     0     0 keyring   .blacklist: empty
            1ca0193b I--Q---     2 perm 1f3f0000     0 65534 keyring   _uid.0: empty
            1ca0193d I--Q---     2 perm 3f030000     0     0 user      invocation_id: 16
            short

            """
        #expect(!Keyrings.hasOwnKeyrings(keys))
        #expect(Keyrings.hasOwnKeyrings(keys + "1ca0193c I--Q---     2 perm 3f030000     0     0 keyring   _ses: 1\n"))
    }
}
