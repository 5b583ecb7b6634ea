#!/usr/bin/perl
# tests/filters/within.pl SECONDS CMD... - runs CMD, which is ended after SECONDS: status 124
#
# As timeout of GNU, which not every system has.  CMD is this process's only child; TERM and
# INT are passed on to it.  One that does not heed TERM is killed a second later.
use strict;
use warnings;
use POSIX qw(:sys_wait_h _exit);

die "usage: within.pl SECONDS CMD...\n" if @ARGV < 2;
my ($seconds, @command) = @ARGV;
my $child = fork // die "within.pl: fork: $!\n";
if (!$child) {
    no warnings 'exec';
    exec { $command[0] } @command or print STDERR "within.pl: $command[0]: $!\n";
    _exit(127);
}
my $late = 0;
$SIG{$_} = sub { kill shift, $child } for qw(TERM INT);
$SIG{ALRM} = sub {
    kill $late++ ? 'KILL' : 'TERM', $child;
    alarm 1;
};
alarm $seconds;
1 until waitpid($child, 0) == $child;
exit($late ? 124 : $? & 127 ? 128 + ($? & 127) : $? >> 8);
