import Testing

@Suite struct SystemPlaceholder {}
