internal import CLinux
internal import Linux

/// The terminal from which Apus was started.
public enum CallersTerminal {
    /// The first of standard input, output and error that is a terminal.
    public static func find() -> Int32? { (0...2).first { isTerminal($0) } }

    static func isTerminal(_ descriptor: Int32) -> Bool {
        // The kernel's struct termios has 36 bytes; the buffer is larger.
        var settings = (UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        return unsafe withUnsafeMutableBytes(of: &settings) {
            apus_syscall(
                Int(SYS_ioctl), UInt(signed: descriptor), 0x5401, UInt(bitPattern: $0.baseAddress), 0, 0, 0) == 0
        }
    }
}
