// swift-tools-version: 6.2
import PackageDescription

/// Settings shared by every Swift target: the language features that later Swift versions turn on by default,
/// strict memory safety, and no warnings.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// Generated code does not mark its unsafe expressions, so the module that holds nothing else goes without.
let generated: [SwiftSetting] = [.swiftLanguageMode(.v6)]

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "apus",
    products: [.executable(name: "apus", targets: ["apus"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        // Without its default traits the library does without the whole of Foundation and ICU.
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    ],
    targets: [
        .target(name: "CLinux"),
        .target(name: "CTrampoline"),
        .target(name: "CChecksum"),
        .systemLibrary(name: "CCompression", providers: [.apt(["libzstd-dev", "liblz4-dev"])]),
        .target(name: "Diagnostics", dependencies: [system], swiftSettings: strict),
        .target(name: "Linux", dependencies: ["CLinux", "Diagnostics", system], swiftSettings: strict),
        .target(name: "ImageMessages", dependencies: [protobuf], swiftSettings: generated),
        .target(
            name: "Images",
            dependencies: [
                "CChecksum", "CCompression", "CLinux", "ImageMessages", "Diagnostics", crypto, protobuf, system,
            ],
            swiftSettings: strict),
        .target(
            name: "Bundles",
            dependencies: [
                "CCompression", "Images", "Linux", "Diagnostics", crypto,
                .product(name: "CryptoExtras", package: "swift-crypto"), system,
            ],
            swiftSettings: strict),
        .target(
            name: "Tracing", dependencies: ["CLinux", "CTrampoline", "Linux", "Diagnostics", system, logging],
            swiftSettings: strict),
        .target(
            name: "Objects", dependencies: ["CLinux", "Images", "Linux", "Tracing", "Diagnostics", system, logging],
            swiftSettings: strict),
        .target(
            name: "Memory", dependencies: ["CLinux", "Images", "Linux", "Tracing", "Diagnostics", system, logging],
            swiftSettings: strict),
        .target(name: "Stages", dependencies: ["Linux", "Diagnostics", system], swiftSettings: strict),
        .target(
            name: "Checkpoint",
            dependencies: [
                "CLinux", "Bundles", "Images", "Linux", "Tracing", "Objects", "Memory", "Stages", "Diagnostics", system,
                logging,
            ],
            swiftSettings: strict),
        .target(
            name: "Restore",
            dependencies: [
                "CLinux", "ImageMessages", "Images", "Linux", "Tracing", "Objects", "Memory", "Stages", "Diagnostics",
                system, logging,
            ],
            swiftSettings: strict),
        .target(
            name: "Terminals", dependencies: ["Images", "Linux", "Diagnostics", system], swiftSettings: strict),
        .target(
            name: "Migration",
            dependencies: [
                "Bundles", "Checkpoint", "Restore", "Terminals", "Images", "Linux", "Tracing", "Objects", "Memory",
                "Diagnostics", system, logging,
            ],
            swiftSettings: strict),
        // TLS is here alone: what traces and restores programs is linked with it, and knows nothing of it.
        .target(
            name: "Transport",
            dependencies: [
                "Linux", "Diagnostics", crypto, system, logging,
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: strict),
        .target(
            name: "Supervision",
            dependencies: ["CLinux", "Images", "Linux", "Diagnostics", system, logging], swiftSettings: strict),
        .target(
            name: "Compatibility", dependencies: ["Linux", "Images", "Diagnostics", system, logging],
            swiftSettings: strict),
        .executableTarget(
            name: "apus",
            dependencies: [
                "Bundles", "Checkpoint", "Restore", "Migration", "Terminals", "Transport", "Objects", "Supervision",
                "Compatibility",
                "Images",
                "Linux",
                "Diagnostics",
                arguments, logging, system,
            ],
            swiftSettings: strict),
        .testTarget(name: "DiagnosticsTests", dependencies: ["Diagnostics"], swiftSettings: strict),
        .testTarget(name: "LinuxTests", dependencies: ["Linux", "CLinux", system], swiftSettings: strict),
        .testTarget(
            name: "ImagesTests", dependencies: ["CCompression", "Images", "ImageMessages", protobuf, system],
            swiftSettings: strict),
        .testTarget(
            name: "BundlesTests", dependencies: ["Bundles", "Images", "Diagnostics", system], swiftSettings: strict),
        .testTarget(
            name: "TracingTests", dependencies: ["Tracing", "Linux", "CLinux", "Diagnostics", system, logging],
            swiftSettings: strict),
        .testTarget(
            name: "ObjectsTests",
            dependencies: ["Objects", "Images", "Linux", "Tracing", "CLinux", "Diagnostics", system],
            swiftSettings: strict),
        .testTarget(
            name: "MemoryTests",
            dependencies: ["Memory", "Images", "CLinux", "Linux", "Tracing", "Diagnostics", system],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointTests",
            dependencies: ["Checkpoint", "Memory", "Objects", "Images", "Linux", "Diagnostics"],
            swiftSettings: strict),
        .testTarget(
            name: "MigrationTests",
            dependencies: [
                "Bundles", "Migration", "Checkpoint", "Restore", "Images", "Linux", "Memory", "Tracing", "Diagnostics",
                system,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "TerminalsTests", dependencies: ["Terminals", "Linux", "Images", "Diagnostics", system],
            swiftSettings: strict),
        .testTarget(
            name: "TransportTests",
            dependencies: [
                "Transport", "Linux", "Diagnostics", crypto, system, .product(name: "NIOCore", package: "swift-nio"),
            ], swiftSettings: strict),
        .testTarget(
            name: "CompatibilityTests", dependencies: ["Compatibility", "Diagnostics", system], swiftSettings: strict),
        .testTarget(
            name: "RestoreTests",
            dependencies: ["Restore", "Objects", "Images", "Linux", "Tracing", "Diagnostics", system],
            swiftSettings: strict),
        // What reads untrusted input, under damaged input: see docs/testing.md.
        .target(name: "CAccounting", path: "Tests/Fuzzing/CAccounting"),
        .executableTarget(
            name: "Fuzzer",
            dependencies: [
                "CAccounting", "Restore", "Compatibility", "Images", "Linux", "Diagnostics", logging, system,
            ],
            path: "Tests/Fuzzing/Fuzzer", swiftSettings: strict),
        .testTarget(
            name: "SystemTests", dependencies: ["CCompression", "CLinux", "ImageMessages", "Images", "Linux", system],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
