internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import SystemPackage

/// Takes the files with the program's output back to where they were at a checkpoint.
///
/// A program that goes on from a checkpoint prints again what it has printed since. Its output files are opened here, for
/// appending, so that the position of their description at the checkpoint is the size that they had. Of other files a
/// checkpoint tells no size: they stay as they are.
enum GrownFiles {
    static func cutBack(_ outputs: [FilePath], to images: FilePath, _ logger: Logger) throws(Problem) {
        let entries = try ImageDirectory(opening: images).messages(.files)
        for path in outputs {
            // Several descriptions where the program has opened it again.
            let places = entries.filter { $0.hasReg && FilePath(bytes: $0.reg.name) == path }.map(\.reg.pos)
            guard let place = places.max(), let status = try? Files.status(of: path), status.size > place else {
                continue
            }
            do throws(Errno) {
                let opened = try Files.open(path, .writeOnly)
                try Files.truncate(opened.raw, to: place)
                logger.info("\(path): cut back from \(status.size) to \(place) bytes, as it was at the checkpoint")
            } catch {
                logger.warning("\(path): cannot be cut back to \(place) bytes (\(error.description))")
            }
        }
    }
}
