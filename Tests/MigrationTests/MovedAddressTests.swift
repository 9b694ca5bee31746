import Diagnostics
import Testing

@testable import Migration

/// What `--move-address` takes, and what travels and is written down of addresses.
@Suite struct MovedAddressTests {
    @Test func `addresses with their devices`() throws {
        let plain = try #require(MovedAddress("192.0.2.7@eth0"))
        #expect(plain.bytes == [192, 0, 2, 7] && plain.length == nil)
        #expect(plain.device == "eth0" && plain.deviceThere == "eth0")
        let full = try #require(MovedAddress("2001:db8::7/64@br0.5:ens3"))
        #expect(full.bytes.count == 16 && full.length == 64)
        #expect(full.device == "br0.5" && full.deviceThere == "ens3")
    }

    @Test(arguments: [
        "", "@", "192.0.2.7", "192.0.2.7@", "@eth0", "192.0.2@eth0", "192.0.2.7/33@eth0", "192.0.2.7/0@eth0",
        "192.0.2.7/@eth0", "192.0.2.7@eth0:", "192.0.2.7@eth0:a:b", "192.0.2.7@a/b", "192.0.2.7@name-of-16-bytes",
        // What belongs to a host, a group or a link.
        "127.0.0.1@eth0", "0.0.0.0@eth0", "224.0.0.1@eth0", "::1@eth0", "::@eth0", "fe80::1@eth0", "ff02::1@eth0",
        "192.0.2.7@lo",
    ]) func `what names none`(_ text: String) { #expect(MovedAddress(text) == nil) }

    @Test func `what the source wishes for is not trusted`() throws {
        let good: JSON = [
            "address": "192.0.2.7", "length": 24, "device": "eth0", "broadcast": "c00002ff", "alone": true,
        ]
        let one = try #require(ComingAddresses.One(good))
        #expect("\(one.address)" == "192.0.2.7" && one.device == "eth0")
        #expect(one.json == ["address": "192.0.2.7", "length": 24, "device": "eth0"])
        // What is written down tells them all that is needed to take it away.
        #expect(ComingAddresses.One(one.json)?.json == one.json)
        let bad: [JSON] = [
            [:], ["address": "192.0.2.7", "length": 33, "device": "eth0"],
            ["address": "192.0.2.7", "length": 24, "device": "a-name-that-is-too-long"],
            ["address": "somewhere", "length": 24, "device": "eth0"],
        ]
        for wish in bad {
            #expect(throws: Problem.self) { _ = try ComingAddresses.wished(["addresses": .array([wish])]) }
        }
    }

    @Test func `a record keeps them`() {
        let record = Journal.Record(
            uuid: "u", state: .asked, pid: 1, processes: [], peer: "there", command: ["ssh"],
            addresses: [["device": "eth0", "had": ["00"], "routes": [], "moving": ["192.0.2.7"]]])
        #expect(Journal.Record(record.json) == record)
    }
}
