dnl sendmail's own port 25 open to whoever has just read mail: it asks the submission proxy's POP-before-SMTP table.
dnl
dnl At the end of sendmail.mc, with one of the two maps, then rebuild sendmail.cf and restart sendmail:
dnl
dnl     define(`POPIP_MAP', `socket -T<TMPF> local:/run/submission/popip')     [pop_before_smtp.sendmail] socketmap
dnl     define(`POPIP_MAP', `text -T<TMPF> -k0 -v1 -z| /run/submission/popip') [pop_before_smtp.sendmail] text_map
dnl     include(`/usr/share/submission/sendmail/popip.m4')
dnl
dnl The first is asked at each recipient and knows a login at once. The folder of its socket must not be writable by
dnl everybody. Where nobody answers, recipients elsewhere get 451 and local ones are still accepted: it fails closed.
dnl What comes from this host itself isn't asked about: its mail is to go out while nobody answers, too.
dnl Don't use the map with FEATURE(`drac') and -T: that opens the relay to everybody while nobody answers.
dnl
dnl With FEATURE(`delay_checks') an address that may relay isn't checked against Connect: and From: refusals.
LOCAL_CONFIG
Kpopip POPIP_MAP
LOCAL_RULESETS
SLocal_Relay_Auth
R$*			$: $&{client_addr}
R$@			$@ $&{auth_type}
R0			$@ $&{auth_type}
R127.0.0.1		$@ $&{auth_type}
RIPv6:0:0:0:0:0:0:0:1	$@ $&{auth_type}
RIPv6:::1		$@ $&{auth_type}
R$*			$: <$(popip $&{client_addr} $: NO $)>
R<NO>			$@ $&{auth_type}
R<$* <TMPF>>		$: <TMPF> $&{rcpt_mailer}
R<TMPF> local		$@ $&{auth_type}
R<TMPF> $*		$#error $@ 4.7.0 $: "451 relay table not available, try again later"
R<$+>			$# RELAY
