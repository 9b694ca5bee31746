import Testing

@Suite struct RestorePlaceholder {}
