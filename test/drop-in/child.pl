#!/usr/bin/perl
# A program for `cmd`: writes down how it was started and which signals it got, until the file `stop` is beside it.
use strict;
use warnings;
use Config;
use POSIX ();

my ($here) = $0 =~ m{^(.*)/[^/]*$};
sub note {
  open(my $log, '>>', "$here/child.log") or die $!;
  syswrite($log, join('', @_) . "\n");
}
my %handled;
for my $name (split ' ', $Config{sig_name}) {
  next if $name =~ /^(ZERO|KILL|STOP|NUM\d+|RT.*|IOT|CLD|POLL|UNUSED)$/;
  $SIG{$name} = sub { note("signal SIG$name"); exit 0 if $name eq 'TERM' && !-e "$here/stubborn" };
}
sub text { my $t = shift; $t =~ s/([\\\n\t"])/sprintf('\\x%02x', ord $1)/ge; return "\"$t\"" }
sub kind { my $l = readlink("/proc/self/fd/$_[0]") // 'closed'; $l =~ s/:\[\d+\]//; return $l }
open(my $status, '<', '/proc/self/status') or die $!;
my ($blocked) = map { /^SigBlk:\s*(\S+)/ ? $1 : () } <$status>;
note('start ', join(' ', map { text($_) } @ARGV));
note("pid $$");
note('cwd ', POSIX::getcwd(), sprintf(' umask %03o', umask), " blocked $blocked", getpgrp() == getpgrp(getppid()) ? '' : ' group of its own');
note('fds ', join(' ', map { kind($_) } 0 .. 2));
note("env $_=$ENV{$_}") for sort keys %ENV;
note('ready');
until (-e "$here/stop") { select(undef, undef, undef, 0.05) }
note('end');
exit 0;
