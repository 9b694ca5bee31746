import SystemPackage

/// The files of the project that tests compare with the program.
enum Repository {
    /// Its root: four levels above this file.
    static let root = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        .removingLastComponent()
}
