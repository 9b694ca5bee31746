/// The images without frames: what other programs wrote, and pages.
public enum RawImage: String, Sendable, CaseIterable {
    case addresses = "IFADDR"
    case routes = "ROUTE"
    case routes6 = "ROUTE6"
    case rules = "RULE"
    case iptables = "IPTABLES"
    case ip6tables = "IP6TABLES"
    case nftables = "NFTABLES"
    case tmpfs = "TMPFS_IMG"
    case tmpfsByDevice = "TMPFS_DEV"
    case pages = "PAGES"
    case connections = "NETNF_CT"
    case expectations = "NETNF_EXP"

    public var layout: ImageLayout {
        let pattern =
            switch self {
            case .addresses: "ifaddr-%u.img"
            case .routes: "route-%u.img"
            case .routes6: "route6-%u.img"
            case .rules: "rule-%u.img"
            case .iptables: "iptables-%u.img"
            case .ip6tables: "ip6tables-%u.img"
            case .nftables: "nftables-%u.img"
            case .tmpfs: "tmpfs-%u.tar.gz.img"
            case .tmpfsByDevice: "tmpfs-dev-%u.tar.gz.img"
            case .pages: "pages-%u.img"
            case .connections: "netns-ct-%u.img"
            case .expectations: "netns-exp-%u.img"
            }
        return ImageLayout(rawValue, pattern, .raw)
    }

    /// The kind and the id of a file with this name; nil where no raw kind has such a name.
    public static func named(_ fileName: String) -> (kind: RawImage, id: UInt64)? {
        for (kind, layout) in layouts {
            if let id = layout.id(inFileName: fileName) { return (kind, id) }
        }
        return nil
    }

    private static let layouts = allCases.map { ($0, $0.layout) }
}
