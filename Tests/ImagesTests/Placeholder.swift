import Testing

@Suite struct ImagesPlaceholder {}
