/// A file descriptor that several places hold, or that stands in a list: closed when the last of them lets go of it.
public final class SharedDescriptor: Sendable {
    public let descriptor: OwnedDescriptor

    /// The number, for calls while this object lives.
    public var raw: Int32 { descriptor.raw }

    public init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
}
