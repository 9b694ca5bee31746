/// What is known about a page (ioctl_pagemap_scan(2)).
public struct PageCategories: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Asynchronous write protection applies to it.
    public static let writeProtectable = PageCategories(rawValue: 1 << 0)
    /// Written to since it was write-protected.
    public static let written = PageCategories(rawValue: 1 << 1)
    /// Backed by a file: the page cache, and shared memory.
    public static let file = PageCategories(rawValue: 1 << 2)
    /// In memory.
    public static let present = PageCategories(rawValue: 1 << 3)
    /// Swapped out, or under way to another place.
    public static let swapped = PageCategories(rawValue: 1 << 4)
    /// The page of zeros that all share.
    public static let zero = PageCategories(rawValue: 1 << 5)
    /// Part of a huge page.
    public static let huge = PageCategories(rawValue: 1 << 6)
    public static let softDirty = PageCategories(rawValue: 1 << 7)
    /// A guard (MADV_GUARD_INSTALL), since Linux 6.15.
    public static let guarded = PageCategories(rawValue: 1 << 8)
}

/// Pages of the same categories, one after another.
public struct PageRun: Sendable, Hashable {
    /// Addresses, whole pages.
    public var range: Range<UInt64>
    /// Of those that were asked for.
    public var categories: PageCategories

    public init(range: Range<UInt64>, categories: PageCategories) {
        self.range = range
        self.categories = categories
    }
}
