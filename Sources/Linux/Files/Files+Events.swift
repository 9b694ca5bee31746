internal import CLinux
public import SystemPackage

/// Descriptors of events: eventfd(2), signalfd(2), timerfd_create(2), epoll_create1(2).
extension Files {
    /// eventfd2(2), close-on-exec, its counter at 0.
    ///
    /// - Parameter isSemaphore: each read takes 1 (EFD_SEMAPHORE).
    public static func eventCounter(isSemaphore: Bool) throws(Errno) -> OwnedDescriptor {
        let semaphore: UInt = 1
        let flags = UInt(signed: OpenFlags.closeOnExec.rawValue) | (isSemaphore ? semaphore : 0)
        return OwnedDescriptor(owning: Int32(try call(Int(SYS_eventfd2), 0, flags)))
    }

    /// signalfd4(2), close-on-exec: reads the signals of a set from whoever reads it.
    ///
    /// - Parameter mask: signal N is bit N-1.
    public static func signals(_ mask: UInt64) throws(Errno) -> OwnedDescriptor {
        var mask = mask
        let flags = UInt(signed: OpenFlags.closeOnExec.rawValue)
        let number = try withAddress(of: &mask) {
            outcome(of: Int(SYS_signalfd4), UInt(signed: -1), $0, 8, flags)
        }
        return OwnedDescriptor(owning: Int32(number))
    }

    /// epoll_create1(2), close-on-exec.
    public static func eventSet() throws(Errno) -> OwnedDescriptor {
        let flags = UInt(signed: OpenFlags.closeOnExec.rawValue)
        return OwnedDescriptor(owning: Int32(try call(Int(SYS_epoll_create1), flags)))
    }
}

/// timerfd_create(2).
extension Files {
    /// What a timer is set to, or what is left of it: struct itimerspec, in nanoseconds.
    public struct TimerSetting: Sendable, Equatable {
        /// 0 for a timer that goes off once.
        public var interval: UInt64
        /// Until it goes off, or when; 0 for a timer that is not set.
        public var value: UInt64

        public init(interval: UInt64, value: UInt64) {
            self.interval = interval
            self.value = value
        }

        fileprivate init(_ raw: (apus_timespec, apus_timespec)) {
            interval = Self.nanoseconds(raw.0)
            value = Self.nanoseconds(raw.1)
        }

        fileprivate var raw: (apus_timespec, apus_timespec) { (Self.time(interval), Self.time(value)) }

        private static func nanoseconds(_ time: apus_timespec) -> UInt64 {
            UInt64(clamping: time.seconds) * 1_000_000_000 + UInt64(clamping: time.nanoseconds)
        }

        private static func time(_ nanoseconds: UInt64) -> apus_timespec {
            apus_timespec(
                seconds: Int64(nanoseconds / 1_000_000_000), nanoseconds: Int64(nanoseconds % 1_000_000_000))
        }
    }

    /// timerfd_create(2), close-on-exec.
    ///
    /// - Parameter clock: CLOCK_*.
    /// - Throws: EPERM for an alarm clock without CAP_WAKE_ALARM.
    public static func timer(on clock: Int32) throws(Errno) -> OwnedDescriptor {
        let flags = UInt(signed: OpenFlags.closeOnExec.rawValue)
        return OwnedDescriptor(owning: Int32(try call(Int(SYS_timerfd_create), UInt(signed: clock), flags)))
    }

    /// timerfd_settime(2).
    ///
    /// - Parameter flags: 1 for an absolute time (TFD_TIMER_ABSTIME), 2 to be told when the clock is set
    ///   (TFD_TIMER_CANCEL_ON_SET).
    public static func setTimer(_ descriptor: Int32, _ setting: TimerSetting, flags: UInt32 = 0) throws(Errno) {
        var raw = setting.raw
        _ = try withAddress(of: &raw) {
            outcome(of: Int(SYS_timerfd_settime), UInt(signed: descriptor), UInt(flags), $0, 0)
        }
    }

    /// timerfd_gettime(2): what is left. An interval timer that has gone off is brought up to date by the question: its
    /// count holds all expirations afterwards, as it does for who reads it.
    public static func timer(_ descriptor: Int32) throws(Errno) -> TimerSetting {
        var raw = (apus_timespec(), apus_timespec())
        _ = try withAddress(of: &raw) { outcome(of: Int(SYS_timerfd_gettime), UInt(signed: descriptor), $0) }
        return TimerSetting(raw)
    }

    /// TFD_IOC_SET_TICKS (timerfd_create(2)): how many expirations the next read finds.
    ///
    /// - Parameter count: not 0.
    /// - Throws: ENOTTY on a kernel without CONFIG_CHECKPOINT_RESTORE.
    public static func setExpirations(_ descriptor: Int32, _ count: UInt64) throws(Errno) {
        let setTicks: UInt = 0x4008_5400
        var count = count
        _ = try withAddress(of: &count) { outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), setTicks, $0) }
    }
}
