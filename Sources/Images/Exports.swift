/// Whoever reads images handles their messages: one import gives both.
@_exported public import ImageMessages
