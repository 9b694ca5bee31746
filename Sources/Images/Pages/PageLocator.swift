public import Diagnostics

/// Knows where the pages are that the page maps of a directory speak of, where they are in no file of it: a tree that comes
/// from another host brings its pages in another order than that of the files.
public protocol PageLocator: Sendable {
    /// Finds pages.
    ///
    /// - Parameter segment: as the page maps have it.
    /// - Returns: the same pages, by address, with `layer` `elsewhere`, the number of a file of the locator, and their places in it.
    /// - Throws: where they have not come.
    func locate(_ segment: PageLayers.Segment) throws(Problem) -> [PageLayers.Segment]

    /// The descriptor of a file with pages, which stays open as long as the locator.
    ///
    /// - Returns: nil where there is none of that number.
    func file(_ id: UInt32) -> Int32?
}
