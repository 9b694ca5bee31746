import Diagnostics
import Testing

@testable import Compatibility

@Suite struct FeatureReportTests {
    private func report(missing: Set<String>, required: Set<FeatureReport.Importance> = []) -> FeatureReport {
        let all: [(String, FeatureReport.Importance)] = [
            ("needed", .essential), ("useful", .extra), ("coming", .experimental),
        ]
        return FeatureReport(
            kernel: "6.1",
            findings: all.map { name, importance in
                .init(
                    name: name, isPresent: !missing.contains(name), importance: importance, purpose: "for \(name)",
                    cost: "no \(name)")
            }, required: required)
    }

    @Test func everythingThereLooksGood() {
        #expect(report(missing: []).succeeds)
        #expect(report(missing: []).text(TextStyle()).hasSuffix("\nLooks good.\n"))
    }

    @Test func whatIsMissingIsNamedWithItsCost() {
        let found = report(missing: ["useful"])
        #expect(found.succeeds)
        let text = found.text(TextStyle())
        #expect(text.contains("missing  useful"))
        #expect(text.contains("without it: no useful"))
        #expect(text.contains("\nLooks good, but"))
    }

    @Test func essentialOrRequiredFails() {
        #expect(!report(missing: ["needed"]).succeeds)
        #expect(report(missing: ["useful", "coming"]).succeeds)
        #expect(!report(missing: ["useful"], required: [.extra]).succeeds)
        #expect(report(missing: ["coming"], required: [.extra]).succeeds)
        #expect(!report(missing: ["coming"], required: Set(FeatureReport.Importance.allCases)).succeeds)
        #expect(!report(missing: ["needed"]).text(TextStyle()).contains("Looks good"))
    }

    @Test func programsGetEveryFeature() {
        let json = report(missing: ["needed"]).json.text(indented: false)
        #expect(json.hasPrefix(#"{"ok":false,"verb":"check","kernel":"6.1""#))
        #expect(json.contains(#"{"name":"needed","present":false,"importance":"essential""#))
    }
}
