// Strings and heredocs of HCL1: every escape and every way not to end, with the words and places of hashicorp/hcl v1.
import { table, valueOf } from './support.ts'

table(
  'escapes are resolved in quotes',
  [
    ['cmd = "\\n\\t\\"\\\\\\a\\b\\f\\r\\v"\n', ['\n\t"\\\u0007\b\f\r\u000b']],
    ['cmd = "\\u00e9"\n', ['é']],
    ['cmd = "\\U0001F600"\n', ['\ud83d\ude00']],
    ['cmd = "\\101"\n', ['A']],
    ['cmd = "\\x41"\n', ['A']],
    ['cmd = "\\0010"\n', ['\u00010']],
    ['cmd = "\\x411"\n', ['A1']],
    ['cmd = "\\u00e9e"\n', ['ée']],
    ['cmd = "\\u0000"\n', ['\u0000']],
    ['cmd = "a\\\\"\n', ['a\\']],
    ['cmd = "\\\\n"\n', ['\\n']],
  ],
  valueOf('cmd'),
)
table(
  'an escape by bytes names bytes of UTF-8',
  [
    ['cmd = "\\xc3\\xa9"\n', ['é']],
    ['cmd = "\\303\\251"\n', ['é']],
    ['cmd = "caf\\xc3\\xa9 \\xe2\\x82\\xac"\n', ['café \u20ac']],
  ],
  valueOf('cmd'),
)
table(
  'half of a surrogate pair is no character',
  [
    ['cmd = "\\ud83d\\ude00"\n', ['\ufffd\ufffd']],
    ['cmd = "\\ud800"\n', ['\ufffd']],
  ],
  valueOf('cmd'),
)
table(
  'an escape that does not exist is refused at the letter',
  [
    ['cmd = "\\d"\n', 'At 1:9: illegal char escape'],
    ['cmd = "a\\q b"\n', 'At 1:10: illegal char escape'],
    ['cmd = "\\ "\n', 'At 1:9: illegal char escape'],
    ['cmd = "\\\'"\n', 'At 1:9: illegal char escape'],
    ['cmd = "\\8"\n', 'At 1:9: illegal char escape'],
    ['cmd = "é\\d"\n', 'At 1:10: illegal char escape'],
    ['cmd = "${\\d}"\n', 'At 1:11: illegal char escape'],
  ],
  valueOf('cmd'),
)
table(
  'an escape that ends early is refused where it ends',
  [
    ['cmd = "\\0"\n', 'At 1:10: illegal char escape'],
    ['cmd = "\\08"\n', 'At 1:10: illegal char escape'],
    ['cmd = "\\12"\n', 'At 1:11: illegal char escape'],
    ['cmd = "\\x1"\n', 'At 1:11: illegal char escape'],
    ['cmd = "\\xg0"\n', 'At 1:10: illegal char escape'],
    ['cmd = "\\u123"\n', 'At 1:13: illegal char escape'],
    ['cmd = "\\u12g4"\n', 'At 1:12: illegal char escape'],
    ['cmd = "\\u"\n', 'At 1:11: literal not terminated'],
    ['cmd = "\\U0001F60"\n', 'At 1:17: illegal char escape'],
    ['cmd = "${\\7}"\n', 'At 1:12: illegal char escape'],
    ['cmd = "${\\u12}"\n', 'At 1:14: illegal char escape'],
  ],
  valueOf('cmd'),
)
table(
  'a string ends on its line',
  [
    ['cmd = "a\n', 'At 1:9: literal not terminated'],
    ['cmd = "a\nb"\n', 'At 2:3: literal not terminated'],
    ['cmd = "a\\\n', 'At 2:1: literal not terminated'],
    ['cmd = "\n', 'At 1:8: literal not terminated'],
    ['cmd = "a\\"\n', 'At 1:11: literal not terminated'],
    ["cmd = 'a'\n", 'At 1:7: illegal char'],
    ['cmd = `a`\n', 'At 1:7: illegal char'],
    ['cmd = "a\rb"\n', ['a\rb']],
    ['cmd = "a\r\nb"\n', 'At 2:3: literal not terminated'],
    ['cmd = "a', 'At 1:9: literal not terminated'],
    ['cmd = "', 'At 1:8: literal not terminated'],
    ['cmd = "a\\', 'At 1:11: literal not terminated'],
    ['cmd = "é', 'At 1:9: literal not terminated'],
    ['cmd = "a\\"', 'At 1:11: literal not terminated'],
  ],
  valueOf('cmd'),
)
table(
  'what stands in ${} is kept as it is',
  [
    ['cmd = "${a}"\n', ['${a}']],
    ['cmd = "${"x"}"\n', ['${"x"}']],
    ['cmd = "${a.b["c"]}"\n', ['${a.b["c"]}']],
    ['cmd = "$${x}"\n', ['$${x}']],
    ['cmd = "%{if}"\n', ['%{if}']],
    ['cmd = "${{}}"\n', ['${{}}']],
    ['cmd = "a${b}c${d}e"\n', ['a${b}c${d}e']],
    ['cmd = "${\\n}"\n', ['${\\n}']],
    ['cmd = "${\\"}"\n', ['${\\"}']],
    ['cmd = "${a}"\n', ['${a}']],
    ['cmd = "{\\n}"\n', ['{\n}']],
    ['cmd = "$\\u007b"\n', ['${']],
    ['cmd = "\\x24{a"\n', ['${a']],
    ['cmd = "${a}\\t"\n', ['${a}\t']],
    ['cmd = "${é}"\n', ['${é}']],
    ['cmd = "${a}b\\u00e9"\n', ['${a}bé']],
    ['cmd = "$ {a}"\n', ['$ {a}']],
    ['cmd = "$"\n', ['$']],
    ['cmd = "{"\n', ['{']],
    ['cmd = "}"\n', ['}']],
    ['cmd = "a{b"\n', ['a{b']],
    ['cmd = "${a\nb}"\n', ['${a\nb}']],
  ],
  valueOf('cmd'),
)
table(
  '${ without its end is a string without its end',
  [
    ['cmd = "${a\n', 'At 2:1: literal not terminated'],
    ['cmd = "${a"\n', 'At 2:1: literal not terminated'],
    ['cmd = "${{}"\n', 'At 2:1: literal not terminated'],
    ['cmd = "${a\\}b"\n', 'At 2:1: literal not terminated'],
    ['cmd = "${a}\n"\n', 'At 2:2: literal not terminated'],
    ['cmd = "${a', 'At 1:11: literal not terminated'],
    ['cmd = "${a"', 'At 1:12: literal not terminated'],
  ],
  valueOf('cmd'),
)
table(
  'a heredoc is what stands between its lines',
  [
    ['cmd = <<E\nx\nE\n', ['x\n']],
    ['cmd = <<E\nE\n', ['']],
    ['cmd = <<E\n\nE\n', ['\n']],
    ['cmd = <<E\nx\ny\nE\n', ['x\ny\n']],
    ['cmd = <<EOF\n  x\n\ty\nEOF\n', ['  x\n\ty\n']],
    ['cmd = <<E\nxE\nE\n', ['xE\n']],
    ['cmd = <<E\nEx\nE\n', ['Ex\n']],
    ['cmd = <<E\nx\nE,\nE\n', ['x\nE,\n']],
    ['cmd = <<E\n${a} "\\n\nE\n', ['${a} "\\n\n']],
    ['cmd = <<1\nx\n1\n', ['x\n']],
    ['cmd = <<E1_\nx\nE1_\n', ['x\n']],
    ['cmd = <<É\né\nÉ\n', ['é\n']],
    ['cmd = <<E\nx\nE \n y\nE\n', ['x\nE \n y\n']],
  ],
  valueOf('cmd'),
)
table(
  '<<- takes away the indentation of the last line',
  [
    ['cmd = <<-E\n  x\n  E\n', ['x\n']],
    ['cmd = <<-E\n    x\n  E\n', ['  x\n']],
    ['cmd = <<-E\n\tx\n\tE\n', ['x\n']],
    ['cmd = <<-E\n \tx\n \tE\n', ['x\n']],
    ['cmd = <<-E\n  é\n  E\n', ['é\n']],
    ['cmd = <<-EOT\n   x\n     y\n   EOT\n', ['x\n  y\n']],
  ],
  valueOf('cmd'),
)
table(
  '<<- takes away nothing where a line has less',
  [
    ['cmd = <<-E\n  x\n y\n  E\n', ['  x\n y\n']],
    ['cmd = <<-E\n\tx\n  E\n', ['\tx\n']],
    ['cmd = <<-E\n  x\n\n  y\n  E\n', ['  x\n\n  y\n']],
    ['cmd = <<-E\n\n  E\n', ['\n']],
    ['cmd = <<-E\n  x\n   E\n', ['  x\n']],
  ],
  valueOf('cmd'),
)
table(
  'a heredoc without dash keeps the indentation of its last line',
  [
    ['cmd = <<E\n x\n  E\n', [' x\n  ']],
    ['cmd = <<E\nx\n\tE\n', ['x\n\t']],
    ['cmd = <<EOT\nx\n     EOT\n', ['x\n     ']],
  ],
  valueOf('cmd'),
)
table(
  '<<- is not ended by an anchor without indentation',
  [
    ['cmd = <<-E\n  x\nE\n', 'At 4:1: heredoc not terminated'],
    ['cmd = <<-E\n  x\nE\nhint = "h"\n', 'At 5:1: heredoc not terminated'],
    ['cmd = <<-E\n  x\nE\nE\n  E\n', ['  x\nE\nE\n']],
  ],
  valueOf('cmd'),
)
table(
  'a heredoc may have lines with carriage returns',
  [
    ['cmd = <<E\r\nx\r\nE\r\n', ['x\n']],
    ['cmd = <<-E\r\n  x\r\n  E\r\n', ['x\n']],
    ['cmd = <<E\nx\nE\r\n', ['x\n']],
  ],
  valueOf('cmd'),
)
table(
  'a heredoc needs an end',
  [
    ['cmd = <<E\n', 'At 2:1: heredoc not terminated'],
    ['cmd = <<E\nx\n', 'At 3:1: heredoc not terminated'],
    ['cmd = <<E\nx\nE F\n', 'At 4:1: heredoc not terminated'],
    ['cmd = <<E', 'At 1:10: heredoc not terminated'],
    ['cmd = <<E\nx\nE', 'At 3:2: heredoc not terminated'],
    ['cmd = <<E\nx', 'At 2:2: heredoc not terminated'],
    ['cmd = <<', 'At 1:9: heredoc not terminated'],
  ],
  valueOf('cmd'),
)
table(
  'a heredoc needs an anchor of letters',
  [
    ['cmd = <<\nx\n\n', 'At 1:9: zero-length heredoc anchor'],
    ['cmd = <<-\nx\n\n', 'At 1:10: zero-length heredoc anchor'],
    ['cmd = <<E x\nE\n', 'At 1:10: invalid characters in heredoc anchor'],
    ['cmd = << E\nE\n', 'At 1:9: invalid characters in heredoc anchor'],
    ['cmd = <<- E\nE\n', 'At 1:10: invalid characters in heredoc anchor'],
    ['cmd = <<E-F\nx\nE-F\n', 'At 1:10: invalid characters in heredoc anchor'],
    ['cmd = <<E.F\nx\nE.F\n', 'At 1:10: invalid characters in heredoc anchor'],
    ['cmd = <<E\rx\nE\n', 'At 1:10: invalid characters in heredoc anchor'],
    ['cmd = <E\nE\n', "At 1:8: heredoc expected second '<', didn't see it"],
    ['cmd = <\n', "At 1:8: heredoc expected second '<', didn't see it"],
    ['cmd = < <E\n', "At 1:10: heredoc expected second '<', didn't see it"],
  ],
  valueOf('cmd'),
)
table(
  'what follows a heredoc is read',
  [
    ['cmd = <<E\nx\nE\nhint = "h"\n', ['x\n']],
    ['cmd = <<E\nx\nE\nfoo = 1\n', { unknown: ['foo'] }],
    ['cmd = <<-E\n  x\n  E\nfoo = 1\n', { unknown: ['foo'] }],
  ],
  valueOf('cmd'),
)
