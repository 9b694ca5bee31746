import Testing

@Suite struct CompatibilityPlaceholder {}
