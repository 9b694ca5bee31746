import Testing

@Suite struct TracingPlaceholder {}
